// Evaluates requests as IAM does, by an implementation that is not ours. Each line of standard input is a JSON object:
// `policies`, a list of documents, and `cases`, each a request with the numbers of the policies that apply to it. Each line
// of standard output is a list with one decision for each case: Allowed, ImplicitlyDenied or ExplicitlyDenied, or an object
// that says what is wrong with it.
import {createInterface} from 'node:readline';
import {runSimulation, runUnsafeSimulation} from '@cloud-copilot/iam-simulate';

// The evaluator leaves out context keys that it does not expect of an action. AWS has these, so they are carried in both
// policy and request under a name that it takes for any action.
const name = key => /^kms:EncryptionContext:|^lambda:SourceFunctionArn$/i.test(key) ? `aws:PrincipalTag/${key}` : key;

function renamed(keys) {
  return Object.fromEntries(Object.entries(keys).map(([key, value]) => [name(key), value]));
}

function carrying(policy) {
  const statements = policy.Statement.map(statement => {
    if (!statement.Condition) return statement;
    const tests = Object.entries(statement.Condition).map(([operator, keys]) => [operator, renamed(keys)]);
    return {...statement, Condition: Object.fromEntries(tests)};
  });
  return {...policy, Statement: statements};
}

// Checking policies and action takes ten times as long as deciding. (Without the check it decides by no resource's
// policy: version 0.1.173 fails on that.)
async function decide(policies, known, {principal, action, resource, account, context, identity, policy}) {
  const simulation = {
    request: {principal, action, resource: {resource, accountId: account}, contextVariables: renamed(context)},
    identityPolicies: identity.map(number => ({name: String(number), policy: policies[number]})),
    resourcePolicy: policy === null ? undefined : policies[policy],
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  };
  const kind = JSON.stringify([action, identity, Object.keys(context)]);
  if (policy === null && known.has(kind)) return runUnsafeSimulation(simulation, {});
  known.add(kind);
  const simulated = await runSimulation(simulation, {});
  if (simulated.resultType !== 'single') return simulated;
  const ignored = simulated.result.ignoredContextKeys;
  return ignored.length ? {ignored} : simulated.overallResult;
}

for await (const line of createInterface({input: process.stdin})) {
  const {policies, cases} = JSON.parse(line);
  const documents = policies.map(carrying);
  const known = new Set();
  const decisions = [];
  for (const each of cases) decisions.push(await decide(documents, known, each));
  process.stdout.write(`${JSON.stringify(decisions)}\n`);
}
