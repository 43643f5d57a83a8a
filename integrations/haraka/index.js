'use strict'

// Asks Postern about each recipient of mail that comes in, and how mail that goes out has to be sent.

const path = require('node:path')

const constants = require('haraka-constants')
const DSN = require('haraka-dsn')

const facts = require('./lib/facts')
const outbound = require('./lib/outbound')
const Service = require('./lib/service')
const settings = require('./lib/settings')
const { FAULT, VERDICT, isUnavailability, plain, refusal, unanswered } = require('./lib/verdict')

// Before other plugins: one that answers OK keeps those behind it from being asked.
const FIRST = -100
const LEVEL = { OPPORTUNISTIC: 1, DOMAIN: 4 }
// What is known of a transaction: the RCPT that passed last, and the connectors of those that were accepted.
const transactions = new WeakMap()

exports.register = function () {
    const folder = path.join(process.env.HARAKA ?? '.', 'config')
    this.postern = settings.read(this.config.get('postern.ini'), folder)
    this.service = new Service(this.postern)
    if (this.postern.inbound) {
        this.register_hook('rcpt', 'on_rcpt', FIRST)
        this.register_hook('rcpt_ok', 'on_rcpt_ok', FIRST)
        if (this.postern.header) this.register_hook('data_post', 'on_data_post', FIRST)
    }
    if (this.postern.outbound) {
        this.register_hook('send_email', 'on_send_email', FIRST)
        this.register_hook('get_mx', 'on_get_mx', FIRST)
    }
}

exports.shutdown = function () {
    this.service?.close()
}

exports.on_rcpt = function (next, connection, params) {
    settle(this, next, async () => {
        const state = known(connection.transaction)
        state.passed = undefined
        const at = ordinal(connection.transaction)
        if (exempt(this, connection)) {
            state.passed = { at }
            return undefined
        }
        const question = facts.inbound(connection, params[0], this.postern.connectorSet)
        let answer
        try {
            answer = await this.service.inbound(question)
        } catch (err) {
            if (this.postern.onUnavailable !== 'accept' || !isUnavailability(err)) return unasked(this, err)
            this.logwarn(`accepted without asking, as on_unavailable = accept says: ${err.message}`, connection)
            state.passed = { at }
            return undefined
        }
        const refused = refusal(answer)
        if (refused) tell(this, answer, refused, connection)
        else state.passed = { at, connector: answer.connector?.name }
        return refused
    })
}

// A recipient is accepted: it must be one that passed here, whatever became of our hook.
exports.on_rcpt_ok = function (next, connection) {
    settle(this, next, async () => {
        const state = known(connection.transaction)
        const { passed } = state
        state.passed = undefined
        if (passed?.at !== ordinal(connection.transaction)) {
            this.logerror('a recipient was accepted that was not asked about: put postern first in config/plugins', connection)
            return FAULT
        }
        if (passed.connector) state.connectors.add(passed.connector)
        return undefined
    })
}

exports.on_data_post = function (next, connection) {
    settle(this, next, async () => {
        const { transaction } = connection
        transaction.remove_header(this.postern.header)
        const names = [...known(transaction).connectors].map(plain)
        if (names.length > 0) transaction.add_leading_header(this.postern.header, names.join(', '))
        return undefined
    })
}

// Nothing goes out unless `on_get_mx` says so, even if another plugin answers in its place.
exports.on_send_email = function (next, hmail) {
    outbound.hold(hmail, FAULT)
    next()
}

exports.on_get_mx = function (next, hmail) {
    const later = (refused) => {
        outbound.hold(hmail, refused)
        next(refused.code >= 500 ? constants.deny : constants.denysoft, refused.text)
    }
    Promise.resolve()
        .then(() => route(this, hmail))
        .catch((err) => ({ refused: unasked(this, err) }))
        .then(({ refused, hosts }) => {
            if (refused) later(refused)
            else if (hosts) next(constants.ok, hosts)
            else next()
        })
        .catch((err) => this.logerror(err.stack))
}

// How the mail goes: with Haraka's own ways given back to it, or guarded.
async function route(plugin, hmail) {
    const ask = (session) => plugin.service.outbound(facts.outbound(hmail, plugin.postern.connectorSet, session))
    const answer = await ask()
    if (answer.verdict !== VERDICT.ACCEPT && answer.verdict !== VERDICT.CONDITIONAL) {
        const refused = refusal(answer)
        tell(plugin, answer, refused)
        return { refused }
    }
    const { delivery } = answer
    const level = delivery?.tls?.level
    const known = delivery?.route === 'mx' || delivery?.route === 'smart_hosts'
    if (!known || !(level >= LEVEL.OPPORTUNISTIC && level <= LEVEL.DOMAIN)) {
        plugin.logerror('Postern says how to deliver in a way that this version does not know')
        return { refused: FAULT }
    }
    outbound.release(hmail)
    if (level > LEVEL.OPPORTUNISTIC) {
        if (!outbound.canGuard(hmail)) {
            plugin.logerror('this version of Haraka cannot be kept from sending without the TLS that is demanded')
            return { refused: FAULT }
        }
        const admit = async (mx, cleartext) => {
            const judged = await ask(facts.outboundSession(mx, cleartext))
            const refused = refusal(judged)
            if (refused) tell(plugin, judged, refused)
            return refused
        }
        outbound.guard(hmail, admit, (err) => unasked(plugin, err))
    }
    if (delivery.route === 'mx') return {}
    const hosts = delivery.smart_hosts.hosts.map(({ host, port }, priority) => ({ exchange: host, port, priority }))
    return { hosts }
}

// Ends a hook of a session with the refusal that `work` promises, or lets it go on; never fails open.
function settle(plugin, next, work) {
    Promise.resolve()
        .then(work)
        .catch((err) => unasked(plugin, err))
        .then((refused) => {
            if (!refused) return next()
            const [, subject, detail] = refused.enhanced.split('.').map(Number)
            const said = DSN.create(refused.code, refused.text, subject, detail)
            return next(refused.code >= 500 ? constants.deny : constants.denysoft, said)
        })
        .catch((err) => plugin.logerror(err.stack))
}

// Logs why there is no answer, and says what the peer is told.
function unasked(plugin, err) {
    plugin.logerror(`Postern gave no answer: ${typeof err?.code === 'number' ? err.message : (err?.stack ?? err)}`)
    return unanswered(err)
}

// Logs a refusal with what the administrator has to know.
function tell(plugin, answer, refused, connection) {
    const why = (answer.rejections ?? []).map(({ connector, message }) => `${connector || '-'}: ${message}`)
    plugin.lognotice(`${refused.code} ${refused.enhanced} ${refused.text} (${plain(why.join('; '))})`, connection)
}

function exempt(plugin, connection) {
    return Boolean(connection.notes?.auth_user) || (plugin.postern.skipRelaying && connection.relaying === true)
}

function known(transaction) {
    let state = transactions.get(transaction)
    if (!state) transactions.set(transaction, (state = { connectors: new Set(), passed: undefined }))
    return state
}

// The number of a RCPT of its transaction: it grows once each has its reply.
function ordinal(transaction) {
    return Object.values(transaction.rcpt_count ?? {}).reduce((sum, count) => sum + count, 0)
}
