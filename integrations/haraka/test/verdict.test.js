'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { FAULT, LATER, refusal, unanswered } = require('../lib/verdict')

test('mail passes on ACCEPT alone', () => {
    assert.equal(refusal({ verdict: 1 }), undefined)
    for (const verdict of [0, 3, 5, 17, '1', 'VERDICT_ACCEPT', true, null, undefined]) {
        assert.equal(refusal({ verdict }), FAULT, String(verdict))
    }
    for (const answer of [undefined, null, {}, 'VERDICT_ACCEPT']) assert.equal(refusal(answer), FAULT)
})

test('a refusal says what Postern says, and is of the kind of its verdict', () => {
    const reply = { code: 530, enhanced_code: '5.7.0', text: 'TLS first' }
    assert.deepEqual(refusal({ verdict: 2, smtp_reply: reply }), { code: 530, enhanced: '5.7.0', text: 'TLS first' })
    for (const wrong of [null, {}, { ...reply, code: 250 }, { ...reply, code: 451 }, { ...reply, enhanced_code: '' }]) {
        assert.equal(refusal({ verdict: 2, smtp_reply: wrong }).code, 550)
        assert.equal(refusal({ verdict: 4, smtp_reply: wrong }).code, 451)
    }
})

test('a reply is one line', () => {
    const text = `a\r\n250 b\u00e9${'c'.repeat(500)}`
    const refused = refusal({ verdict: 4, smtp_reply: { code: 451, enhanced_code: '4.7.1', text } })
    assert.match(refused.text, /^a\?250 b\?c{1,400}$/)
    assert.equal(refused.text.length, 400)
})

test('an error is unavailability or a fault', () => {
    for (const code of [4, 8, 14]) assert.equal(unanswered({ code }), LATER)
    for (const code of [1, 3, 5, 7, 13, 16, 'ECONNREFUSED', undefined]) assert.equal(unanswered({ code }), FAULT)
    assert.equal(unanswered(undefined), FAULT)
})
