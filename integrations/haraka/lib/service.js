'use strict'

// Asks Postern: one endpoint after the other in turn, with one retry on another, all within one deadline.

const path = require('node:path')

const grpc = require('@grpc/grpc-js')
const loader = require('@grpc/proto-loader')

const CONTRACT = path.join(__dirname, '..', 'proto', 'postern', 'v1', 'policy.proto')
const { DEADLINE_EXCEEDED, UNAVAILABLE } = grpc.status
// For how long an endpoint that gave no answer is asked last.
const ASIDE = 5000
const CHANNEL = {
    // A name may have several addresses.
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    'grpc.initial_reconnect_backoff_ms': 100,
    // Why: the default grows to two minutes, and a restarted service is asked much sooner.
    'grpc.max_reconnect_backoff_ms': 1000,
    'grpc.dns_min_time_between_resolutions_ms': 5000,
}

class Service {
    #endpoints
    #deadline
    #token
    #turn = 0

    constructor(settings) {
        const definition = loader.loadSync(CONTRACT, { keepCase: true, defaults: true, oneofs: true })
        const Client = grpc.loadPackageDefinition(definition).postern.v1.PolicyDecisionService
        const { tls } = settings
        const credentials = tls
            ? grpc.credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null)
            : grpc.credentials.createInsecure()
        const options = { ...CHANNEL }
        if (tls?.serverName) {
            options['grpc.ssl_target_name_override'] = tls.serverName
            options['grpc.default_authority'] = tls.serverName
        }
        this.#endpoints = settings.endpoints.map((endpoint) => ({
            client: new Client(endpoint, credentials, options),
            asideUntil: 0,
        }))
        // So that the first question need not wait for a connection.
        for (const { client } of this.#endpoints) client.getChannel().getConnectivityState(true)
        this.#deadline = settings.deadline
        this.#token = settings.token
    }

    inbound(question) {
        return this.#ask('CheckInbound', question)
    }

    outbound(question) {
        return this.#ask('CheckOutbound', question)
    }

    close() {
        for (const { client } of this.#endpoints) client.close()
    }

    async #ask(method, question) {
        const end = Date.now() + this.#deadline
        const [first, second] = this.#order()
        try {
            // Half of the time, so that one that hangs leaves some for the retry.
            return await this.#call(first, method, question, end - this.#deadline / 2)
        } catch (err) {
            if (err.code !== UNAVAILABLE && err.code !== DEADLINE_EXCEEDED) throw err
            first.asideUntil = Date.now() + ASIDE
            return await this.#call(second ?? first, method, question, end)
        }
    }

    // Whom to ask, in turn; those that gave no answer lately come last.
    #order() {
        const all = this.#endpoints
        const turn = this.#turn++
        const now = Date.now()
        const inTurn = all.map((_, at) => all[(turn + at) % all.length])
        return inTurn.sort((one, other) => (one.asideUntil > now) - (other.asideUntil > now))
    }

    #call(endpoint, method, question, deadline) {
        const metadata = new grpc.Metadata()
        if (this.#token !== undefined) metadata.set('authorization', `Bearer ${this.#token}`)
        return new Promise((resolve, reject) => {
            endpoint.client[method](question, metadata, { deadline }, (err, answer) => {
                if (err) return reject(err)
                endpoint.asideUntil = 0
                resolve(answer)
            })
        })
    }
}

module.exports = Service
