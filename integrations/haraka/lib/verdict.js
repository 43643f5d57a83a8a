'use strict'

// What Haraka does on an answer, or without one. Mail passes on ACCEPT alone.

const VERDICT = { ACCEPT: 1, REJECT: 2, CONDITIONAL: 3, DEFER: 4 }
const UNAVAILABLE = [4, 8, 14] // DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE

exports.VERDICT = VERDICT

/** Defers where Postern cannot be asked, or by a fault of our own. */
exports.LATER = { code: 451, enhanced: '4.7.1', text: 'connector policy unavailable, try later' }
exports.FAULT = { code: 451, enhanced: '4.3.5', text: 'connector policy cannot be asked' }

/** Whether an error of a call says that nobody could answer, rather than that the question was wrong. */
exports.isUnavailability = (err) => UNAVAILABLE.includes(err?.code)

/** Why mail is refused or kept, in what is said to the peer; none where the verdict lets it pass. */
exports.refusal = function (answer) {
    // Numbers, since an enum as text depends on whose `String` reads it (Haraka's sandbox has its own).
    if (answer?.verdict === VERDICT.ACCEPT) return undefined
    if (answer?.verdict === VERDICT.REJECT) return reply(answer.smtp_reply, 5, { code: 550, enhanced: '5.7.1', text: 'refused by policy' })
    if (answer?.verdict === VERDICT.DEFER) return reply(answer.smtp_reply, 4, exports.FAULT)
    return exports.FAULT
}

/** What is said where there is no answer. */
exports.unanswered = (err) => (exports.isUnavailability(err) ? exports.LATER : exports.FAULT)

function reply(given, kind, preset) {
    const { code, enhanced_code: enhanced, text } = given ?? {}
    if (Math.trunc(code / 100) !== kind || !new RegExp(`^${kind}\\.\\d{1,3}\\.\\d{1,3}$`).test(enhanced)) return preset
    return { code, enhanced, text: plain(text) || preset.text }
}

// One line of printable ASCII, of at most 400 characters.
function plain(text) {
    return String(text ?? '')
        .replace(/[^ -~]+/g, '?')
        .slice(0, 400)
        .trim()
}

exports.plain = plain
