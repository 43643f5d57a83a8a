'use strict'

// postern.ini as settings: all that is wrong is told at once, and then Haraka does not start.

const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')

const KEYS = {
    main: ['connector_set', 'deadline_ms', 'endpoints', 'header', 'inbound', 'on_unavailable', 'outbound', 'skip_relaying', 'token_file'],
    tls: ['ca', 'cert', 'enabled', 'key', 'server_name'],
}
// What says something else already.
const RESERVED = ['bcc', 'cc', 'date', 'dkim-signature', 'from', 'message-id', 'received', 'return-path', 'subject', 'to']

/** Reads `ini` (sections of texts); `folder` is where relative files are. */
exports.read = function (ini, folder) {
    const faults = []
    const fault = (place, remedy) => faults.push(`postern.ini: ${place}: ${remedy}`)
    const text = (section, key) => String(ini[section]?.[key] ?? '').trim()
    const choice = (section, key, words, preset) => {
        const word = text(section, key).toLowerCase() || preset
        if (!words.includes(word)) fault(`${key} = ${word}`, `write ${words.join(' or ')}`)
        return word
    }
    const file = (section, key) => {
        const name = text(section, key)
        if (!name) return undefined
        const full = path.resolve(folder, name)
        try {
            return fs.readFileSync(full)
        } catch (err) {
            fault(`${key} = ${name}`, `${full} cannot be read (${err.code}): name a file that Haraka's user may read`)
            return undefined
        }
    }

    for (const section of Object.keys(ini)) {
        for (const key of Object.keys(ini[section] ?? {})) {
            if (KEYS[section]?.includes(key)) continue
            fault(section === 'main' ? key : `[${section}] ${key}`, 'there is no such setting')
        }
    }
    const endpoints = text('main', 'endpoints').split(/[\s,]+/).filter(Boolean)
    if (endpoints.length === 0) fault('endpoints', 'name one, say 127.0.0.1:50051')
    for (const endpoint of endpoints) {
        if (/^[a-z]+:\/\//i.test(endpoint) && !/^(dns|unix):\/\//.test(endpoint)) {
            fault(`endpoints = ${endpoint}`, 'write host:port without a scheme, and TLS as [tls] enabled = true')
        } else if (!endpoint.startsWith('unix:') && !/:\d+$/.test(endpoint)) {
            fault(`endpoints = ${endpoint}`, 'write the port, too: host:port')
        }
    }
    const deadline = Number(text('main', 'deadline_ms') || 1000)
    if (!(deadline >= 10 && deadline <= 20000)) {
        // Why: Haraka itself gives a plugin up after 30 s.
        fault(`deadline_ms = ${text('main', 'deadline_ms')}`, 'write milliseconds from 10 to 20000')
    }
    const header = text('main', 'header')
    if (header && !/^[!-9;-~]{1,64}$/.test(header)) {
        fault(`header = ${header}`, 'write the name of a header, say X-Postern-Connector')
    } else if (RESERVED.includes(header.toLowerCase())) {
        fault(`header = ${header}`, 'that header has another meaning: write one of your own, say X-Postern-Connector')
    }
    const enabled = choice('tls', 'enabled', ['true', 'false'], 'false') === 'true'
    const tls = enabled && {
        ca: file('tls', 'ca'),
        cert: file('tls', 'cert'),
        key: file('tls', 'key'),
        serverName: text('tls', 'server_name'),
    }
    if (!enabled && ['ca', 'cert', 'key', 'server_name'].some((key) => text('tls', key))) {
        fault('[tls] enabled', 'write enabled = true, or leave the other settings of [tls] empty')
    }
    if (tls && !text('tls', 'cert') !== !text('tls', 'key')) fault('[tls] cert, key', 'name both or neither')
    const token = file('main', 'token_file')?.toString().trim()
    if (token !== undefined && !/^[!-~]+$/.test(token)) fault('token_file', 'put one token on one line into that file')
    if (token !== undefined && !tls && endpoints.some((endpoint) => !near(endpoint))) {
        fault('token_file', 'others could read the token in plaintext: write [tls] enabled = true')
    }
    const settings = {
        connectorSet: text('main', 'connector_set'),
        deadline,
        endpoints,
        header,
        inbound: choice('main', 'inbound', ['true', 'false'], 'true') === 'true',
        onUnavailable: choice('main', 'on_unavailable', ['defer', 'accept'], 'defer'),
        outbound: choice('main', 'outbound', ['true', 'false'], 'true') === 'true',
        skipRelaying: choice('main', 'skip_relaying', ['true', 'false'], 'false') === 'true',
        tls,
        token,
    }
    if (faults.length > 0) throw new Error(faults.join('; '))
    return settings
}

// Whether what is sent there stays on this machine.
function near(endpoint) {
    if (endpoint.startsWith('unix:')) return true
    const host = endpoint.replace(/^dns:\/*/, '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
    return host === 'localhost' || host === '::1' || (net.isIPv4(host) && host.startsWith('127.'))
}
