'use strict'

// Makes a fact of the session, or a function of the item, throw: at once, or in what comes later.

function thrower(object, name) {
    Object.defineProperty(object, name, {
        get() {
            throw new Error(`planted in ${name}`)
        },
    })
}

exports.hook_mail = function (next, connection, params) {
    const planted = params[0].user
    if (planted === 'helo') thrower(connection.hello, 'host')
    if (planted === 'cipher') thrower(connection.tls, 'cipher')
    // Thrown when the question is written, behind all that we call ourselves.
    if (planted === 'later') {
        connection.hello.host = {
            toString() {
                throw new Error('planted in what is written')
            },
        }
    }
    next()
}
