'use strict'

// What Haraka knows of a session, in the words of the contract. What it does not know stays unknown.

const TRUST = { UNSPECIFIED: 0, TRUSTED: 1, UNTRUSTED: 2, EXPIRED: 3, WRONG_PURPOSE: 4 }

exports.TRUST = TRUST

/** The question about one recipient of mail that comes in. */
exports.inbound = function (connection, recipient, connectorSet) {
    const transaction = connection.transaction
    return {
        connector_set: connectorSet,
        client_ip: connection.remote.ip,
        helo: connection.hello?.host ?? '',
        mail_from: envelope(transaction.mail_from),
        rcpt_to: envelope(recipient),
        tls: inboundTls(connection),
        correlation_id: transaction.uuid ?? '',
    }
}

/** The question about mail that goes out; `session` is there once there is one. */
exports.outbound = function (hmail, connectorSet, session) {
    const rule = hmail.todo.notes?.postern?.rule_connector
    return {
        connector_set: connectorSet,
        mail_from: envelope(hmail.todo.mail_from),
        // All recipients of an item are in one domain, and a connector asks for no more.
        rcpt_to: envelope(hmail.todo.rcpt_to[0]),
        rule_connector: typeof rule === 'string' ? rule : '',
        session,
        correlation_id: hmail.todo.uuid ?? '',
    }
}

/** The session with a next hop, `cleartext` being Node's TLS socket. */
exports.outboundSession = function (mx, cleartext) {
    return {
        host: mx.from_dns || mx.exchange,
        server_ip: mx.exchange,
        tls: {
            version: cleartext.getProtocol() ?? '',
            cipher: cipherName(cleartext.getCipher()),
            ...certificate(cleartext.getPeerCertificate(), () => chainError(cleartext)),
        },
    }
}

/**
 * An address of the envelope.
 *
 * Why not `.address`: it is empty for an empty local part, `<""@partner.example>`, and would make a null sender of it.
 */
function envelope(address) {
    if (!address) return ''
    const host = address.original_host || address.host
    if (typeof host === 'string' && host) return `${address.user ?? ''}@${host}`
    if (typeof address.user === 'string' && address.user) return address.user
    const original = address.original
    return typeof original === 'string' ? original : ''
}

exports.envelope = envelope

function inboundTls(connection) {
    const tls = connection.tls
    // Why XCLIENT: the session is that of the machine in front, which does not say what the client's was like.
    if (!tls?.enabled || connection.xclient) return undefined
    return {
        version: tls.cipher?.version ?? '',
        cipher: cipherName(tls.cipher),
        ...certificate(tls.peerCertificate, () => handleError(connection)),
    }
}

function cipherName(cipher) {
    return cipher?.standardName ?? cipher?.name ?? ''
}

// `error()` is what is wrong with the chain: null is nothing, undefined that nobody can tell.
function certificate(shown, error) {
    if (!shown || Object.keys(shown).length === 0) return {}
    if (!Buffer.isBuffer(shown.raw)) return { certificate_unavailable: true }
    const code = error()
    return { peer_certificate: { trust: trust(code), trust_detail: code ?? '', der: shown.raw } }
}

function trust(code) {
    switch (code) {
        case null:
            return TRUST.TRUSTED
        case undefined:
            return TRUST.UNSPECIFIED
        case 'CERT_HAS_EXPIRED':
        case 'CERT_NOT_YET_VALID':
            return TRUST.EXPIRED
        case 'INVALID_PURPOSE':
            return TRUST.WRONG_PURPOSE
        default:
            return TRUST.UNTRUSTED
    }
}

/**
 * OpenSSL's verdict on a client's certificate.
 *
 * Why a private handle: Haraka's `tls.verified` is false for every certificate (Haraka#3451), and
 * Node has no public way on the side of a server that Haraka starts by hand.
 */
function handleError(connection) {
    for (const socket of [connection.client?.cleartext, connection.client]) {
        const handle = socket?._handle
        if (typeof handle?.verifyError !== 'function') continue
        const err = handle.verifyError()
        if (err === null) return null
        return typeof err?.code === 'string' ? err.code : 'unknown error'
    }
    return undefined
}

// The same for a server's, whose name was left to Postern (see `guard`).
function chainError(cleartext) {
    if (cleartext.authorized === true) return null
    const err = cleartext.authorizationError
    return err ? String(err.code ?? err) : undefined
}
