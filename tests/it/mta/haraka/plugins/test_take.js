'use strict'

// Takes all mail that nobody refuses, and keeps its headers. Haraka ends with the test.

const fs = require('node:fs')
const path = require('node:path')

exports.register = function () {
    process.stdin.resume()
    process.stdin.on('end', () => process.exit())
}

exports.hook_lookup_rdns = (next) => next(OK, 'client.test')
exports.hook_rcpt = (next) => next(OK)
exports.hook_queue = function (next, connection) {
    const headers = connection.transaction.header.lines().map((line) => line.trimEnd())
    fs.appendFileSync(path.join(process.env.HARAKA, 'taken'), `${JSON.stringify(headers)}\n`)
    next(OK)
}
