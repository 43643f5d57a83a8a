'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')

const facts = require('../lib/facts')

const { TRUST } = facts

function connection(change) {
    return {
        remote: { ip: '192.0.2.7' },
        hello: { host: 'client.test' },
        tls: {},
        transaction: { uuid: 'ID.1', mail_from: { user: 'ann', host: 'partner.test' } },
        ...change,
    }
}

const recipient = { user: 'bob', host: 'contoso.test' }
const ask = (change) => facts.inbound(connection(change), recipient, 'contoso')

// A session with TLS and a certificate, of which OpenSSL says this.
function shown(handle, verified = true) {
    const tls = {
        enabled: true,
        verified,
        cipher: { name: 'AES', standardName: 'TLS_AES', version: 'TLSv1.3' },
        peerCertificate: { raw: Buffer.from('der') },
    }
    return ask({ tls, client: { cleartext: { _handle: handle } } }).tls.peer_certificate
}

test('a session in plaintext', () => {
    assert.deepEqual(ask({}), {
        connector_set: 'contoso',
        client_ip: '192.0.2.7',
        helo: 'client.test',
        mail_from: 'ann@partner.test',
        rcpt_to: 'bob@contoso.test',
        tls: undefined,
        correlation_id: 'ID.1',
    })
})

test('trust is what OpenSSL says, and never what Haraka does', () => {
    const trust = (err) => shown({ verifyError: () => err }).trust
    assert.equal(trust(null), TRUST.TRUSTED)
    assert.equal(trust({ code: 'CERT_HAS_EXPIRED' }), TRUST.EXPIRED)
    assert.equal(trust({ code: 'INVALID_PURPOSE' }), TRUST.WRONG_PURPOSE)
    assert.equal(trust({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }), TRUST.UNTRUSTED)
    assert.equal(trust({}), TRUST.UNTRUSTED)
    assert.equal(trust(undefined), TRUST.UNTRUSTED)
})

test('without the handle trust is not known, whatever Haraka says', () => {
    for (const handle of [undefined, null, {}, { verifyError: true }]) {
        assert.equal(shown(handle).trust, TRUST.UNSPECIFIED)
    }
})

test('the certificate goes along as it is', () => {
    assert.deepEqual(shown({ verifyError: () => null }).der, Buffer.from('der'))
})

test('no certificate, and one that cannot be seen', () => {
    const tls = (peerCertificate) => ask({ tls: { enabled: true, peerCertificate } }).tls
    assert.deepEqual(tls({}), { version: '', cipher: '' })
    assert.deepEqual(tls(undefined), { version: '', cipher: '' })
    assert.deepEqual(tls({ subject: { CN: 'a' } }), { version: '', cipher: '', certificate_unavailable: true })
})

test('the TLS of a machine in front is not that of the client', () => {
    assert.equal(ask({ tls: { enabled: true }, xclient: true }).tls, undefined)
})

test('addresses of the envelope', () => {
    for (const [address, text] of [
        [undefined, ''],
        [{ original: '<>', user: null, host: null }, '<>'],
        [{ user: '', host: '' }, ''],
        [{ user: 'postmaster', host: null }, 'postmaster'],
        [{ user: 'a@b', host: 'c.test' }, 'a@b@c.test'],
        [{ user: 'a', host: 'xn--bcher-kva.test', original_host: 'bücher.test' }, 'a@bücher.test'],
        // No null sender: its domain is known.
        [{ user: '', host: 'partner.test' }, '@partner.test'],
    ]) {
        assert.equal(facts.envelope(address), text)
    }
})
