'use strict'

// Relays all mail, and writes down what becomes of it. Haraka ends with the test.

const fs = require('node:fs')
const path = require('node:path')

exports.register = function () {
    process.stdin.resume()
    process.stdin.on('end', () => process.exit())
}

function write(hmail, became, why) {
    const { domain } = hmail.todo
    const codes = hmail.todo.rcpt_to.map((rcpt) => rcpt.dsn_status ?? '')
    const line = JSON.stringify({ domain, became, why: String(why), codes })
    fs.appendFileSync(path.join(process.env.HARAKA, 'became'), `${line}\n`)
}

exports.hook_lookup_rdns = (next) => next(OK, 'client.test')
exports.hook_mail = function (next, connection) {
    connection.relaying = true
    next()
}
exports.hook_data_post = function (next, connection) {
    // As a plugin that knows the organization's rules would.
    const rule = connection.transaction.header.get('X-Rule').trim()
    if (rule) connection.transaction.notes.postern = { rule_connector: rule }
    next()
}
exports.hook_delivered = function (next, hmail, params) {
    write(hmail, 'delivered', params[2])
    next()
}
exports.hook_deferred = function (next, hmail, params) {
    write(hmail, 'deferred', params.err)
    next()
}
exports.hook_bounce = function (next, hmail, err) {
    write(hmail, 'bounced', err.message)
    // Without a message to the sender.
    next(OK)
}
