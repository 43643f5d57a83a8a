'use strict'

// A mail in Haraka's queue that is sent only as Postern says.
//
// Why methods of one item are replaced: no hook of Haraka stands between a handshake and MAIL FROM, and what is said
// to be for this (`todo.force_tls`) does nothing. Each attempt begins with Haraka's own methods.

const OURS = ['get_force_tls', 'get_mx_respond', 'try_deliver', 'try_deliver_host_on_socket']
const SEAMS = [...OURS, 'bounce', 'extend_rcpt_with_dsn', 'temp_fail']

/** Ends this attempt with `refusal`, unless `release` comes before Haraka looks for a route. */
exports.hold = function (hmail, refusal) {
    exports.release(hmail)
    hmail.get_mx_respond = () => conclude(hmail, refusal)
}

/** Gives the item its own ways back. */
exports.release = function (hmail) {
    for (const name of OURS) delete hmail[name]
}

/** Whether this Haraka has what `guard` hooks into. */
exports.canGuard = (hmail) => SEAMS.every((name) => typeof hmail[name] === 'function')

/**
 * Lets this attempt send over nothing but a TLS session that `admit` finds no refusal for.
 *
 * `admit(mx, cleartext)` promises a refusal, or undefined.
 */
exports.guard = function (hmail, admit, fault) {
    const own = Object.getPrototypeOf(hmail)
    let attempts = 0
    let refusals = []

    hmail.get_force_tls = () => true
    hmail.try_deliver_host_on_socket = function (mx, host, port, socket) {
        watch(socket, async (cleartext) => {
            let refusal
            try {
                refusal = await admit(mx, cleartext)
            } catch (err) {
                refusal = fault(err)
            }
            if (refusal) refusals.push(refusal)
            return refusal
        })
        return own.try_deliver_host_on_socket.call(hmail, mx, host, port, socket)
    }
    hmail.try_deliver = function () {
        if (hmail.mxlist.length > 0 || refusals.length === 0) {
            attempts += 1
            return own.try_deliver.call(hmail)
        }
        // For good only where every next hop was refused for good.
        const soft = refusals.find((refusal) => refusal.code < 500)
        const last = refusals[refusals.length - 1]
        const kept = refusals.length < attempts && { ...last, code: 451, enhanced: last.enhanced.replace(/^5/, '4') }
        return conclude(hmail, soft ?? (kept || last))
    }
}

// Holds back that the session is secure until it is admitted.
function watch(socket, admit) {
    const { emit, upgrade } = socket
    let asked = false
    let admitted = false
    let tell = () => {}
    // Why not Haraka's: it wants a trusted chain and name, where the demand may be a pin, or any certificate at all.
    socket.isSecure = () => admitted && socket.isEncrypted()
    // Postern judges the name by what was agreed, and the rest by what OpenSSL says of the chain.
    socket.upgrade = (options, done) => {
        const lenient = { ...options, rejectUnauthorized: false, checkServerIdentity: () => undefined }
        // Haraka hears of the session once it is admitted, and ends what is not verified.
        upgrade.call(socket, lenient, (_, ...rest) => (tell = () => done(true, ...rest)))
    }
    socket.emit = function (event, ...rest) {
        if (admitted || (event !== 'secure' && event !== 'secureConnect')) return emit.call(socket, event, ...rest)
        if (event === 'secureConnect' && !asked) {
            asked = true
            admit(socket.cleartext).then((refusal) => {
                // Without listeners the attempt is over; an error that nobody takes would end Haraka.
                if (socket.listenerCount('error') === 0) return
                admitted = !refusal
                if (admitted) {
                    tell()
                    emit.call(socket, 'secure')
                } else emit.call(socket, 'error', new Error(`this session may not carry the mail: ${refusal.text}`))
            })
        }
        return true
    }
}

// Keeps or bounces the mail, saying why.
function conclude(hmail, { code, enhanced, text }) {
    exports.release(hmail)
    const [cls, sub, det] = enhanced.split('.').map(Number)
    for (const rcpt of hmail.todo.rcpt_to) hmail.extend_rcpt_with_dsn(rcpt, { code, msg: text, cls, sub, det })
    const said = `${code} ${enhanced} ${text}`
    return code >= 500 ? hmail.bounce(said) : hmail.temp_fail(said)
}
