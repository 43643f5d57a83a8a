// Asks Postern with the client of the Connect protocol for Node, in every way that it has.
//
//   node connect.mjs <url> <descriptor set>
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

const [url, descriptors] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const decisions = registry.getService("postern.v1.PolicyDecisionService");
const explanations = registry.getService("postern.v1.PolicyExplanationService");
const question = {
  clientIp: "192.0.2.7",
  mailFrom: "ann@contosobank.com",
  rcptTo: "bob@contoso.com",
};

const failure = async (call) => {
  try {
    await call();
    return "answered";
  } catch (error) {
    const { code, details, rawMessage } = ConnectError.from(error);
    return [Code[code], details.map((detail) => detail.type), rawMessage];
  }
};

for (const httpVersion of ["1.1", "2"]) {
  for (const useBinaryFormat of [false, true]) {
    const transport = createConnectTransport({ baseUrl: url, httpVersion, useBinaryFormat });
    const client = createClient(decisions, transport);
    const inbound = await client.checkInbound(question, { timeoutMs: 20_000 });
    const outbound = await client.checkOutbound({ rcptTo: "ann@contosobank.com" });
    const explained = await createClient(explanations, transport).explainInbound({ facts: question });
    const told = {
      verdict: inbound.verdict,
      reply: inbound.smtpReply.code,
      route: outbound.delivery.route.case,
      chains: explained.chains.length,
      bad: await failure(() => client.checkInbound({})),
      missing: await failure(() => client.checkInbound({ ...question, connectorSet: "none" })),
    };
    if (httpVersion === "2") {
      told.stream = await failure(async () => {
        const questions = (async function* () {
          yield { id: 1n, question: { case: "inbound", value: question } };
        })();
        for await (const _ of client.checkStream(questions));
      });
    }
    console.log(JSON.stringify(told));
  }
}
process.exit(0);
