'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')

const { read } = require('../lib/settings')

const main = { endpoints: '127.0.0.1:50051' }

function refused(ini, folder = '.') {
    try {
        read(ini, folder)
    } catch (err) {
        return err.message
    }
    return assert.fail('it was taken')
}

test('what is not written has its default', () => {
    const settings = read({ main }, '.')
    assert.equal(settings.deadline, 1000)
    assert.equal(settings.onUnavailable, 'defer')
    assert.deepEqual([settings.inbound, settings.outbound, settings.skipRelaying, settings.tls], [true, true, false, false])
})

test('endpoints may be several', () => {
    const { endpoints } = read({ main: { endpoints: 'a.test:1, unix:/run/p.sock  dns:///b.test:2' } }, '.')
    assert.deepEqual(endpoints, ['a.test:1', 'unix:/run/p.sock', 'dns:///b.test:2'])
})

test('all faults are told at once', () => {
    const said = refused({ main: { endpoints: 'postern', on_unavailable: 'pass', header: 'a b' }, tls: { ca: 'x' } })
    for (const place of ['endpoints = postern', 'on_unavailable = pass', 'header = a b', '[tls] enabled']) {
        assert.ok(said.includes(`postern.ini: ${place}: `), said)
    }
})

test('a header that means something else is not taken', () => {
    assert.match(refused({ main: { ...main, header: 'Subject' } }), /another meaning/)
})

test('a token stays on this machine, or goes over TLS', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'postern-'))
    try {
        fs.writeFileSync(path.join(folder, 'token'), 'secret\n')
        const told = (endpoints, tls) => read({ main: { endpoints, token_file: 'token' }, tls }, folder).token
        assert.equal(told('127.0.0.1:1 [::1]:2 localhost:3 unix:/p'), 'secret')
        assert.equal(told('postern.test:1', { enabled: 'true' }), 'secret')
        const said = refused({ main: { endpoints: 'postern.test:1', token_file: 'token' } }, folder)
        assert.match(said, /in plaintext/)
        assert.ok(!said.includes('secret'))
        assert.match(refused({ main: { ...main, token_file: 'none' } }, folder), /cannot be read/)
    } finally {
        fs.rmSync(folder, { recursive: true })
    }
})
