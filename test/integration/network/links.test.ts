// network.links: another container's address under its names, and Docker's link variables.
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { secretPath } from "../../../src/kube/index.ts";
import { addressOf, environmentOf, fileIn, inside } from "../../support/look.ts";
import { untilRestarted, askRestart } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

let names = 0;
const named = (): { name: string } => ({ name: `l${String(++names)}-${String(test().node.index)}` });
const create = async (spec: Partial<ContainerSpec> = {}): Promise<Container> =>
  test().create({ network: { mode: "Bridge" }, ...spec }, named());
const started = async (spec: Partial<ContainerSpec> = {}): Promise<Container> =>
  test().untilState(await create(spec), "Running");
const linked = (container: string, alias?: string): Partial<ContainerSpec> => ({
  network: { mode: "Bridge", links: [{ container, ...(alias === undefined ? {} : { alias }) }] },
});
const told = (container: Container, words: string): Promise<Container> =>
  test().until(
    container,
    `told "${words}"`,
    ({ status }) => status?.reason === "WaitingForContainer" && status.message?.includes(words) === true,
  );
const stop = async (container: Container): Promise<void> => {
  await test().untilState(await test().patch(container, { spec: { desiredState: "Stopped" } }), "Exited");
};
/** The first line of the block, in which links come first. */
const linkLine = (container: Container): string | undefined =>
  /^# Kept up to date by Berth.*\n(.*)\n/m.exec(fileIn(container, "/etc/hosts"))?.[1];
const linkVariables = (container: Container): Record<string, string> =>
  Object.fromEntries(Object.entries(environmentOf(container)).filter(([name]) => name.startsWith("MY_DB_")));

describe("a link", () => {
  it("gives names and variables, of the image's and the spec's ports and environment, and none from a Secret", async () => {
    const secret = `link-${String(test().node.index)}`;
    await test().api.create(secretPath("default"), {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: secret },
      stringData: { password: "s3cret" },
    });
    const db = await started({
      image: test().image("config"),
      command: ["sh", "-c", "trap 'exit 0' USR1; sleep 3600 & wait"],
      hostname: "db-host",
      ports: [{ containerPort: 8081 }, { containerPort: 53, protocol: "UDP" }],
      env: [
        { name: "PASSWORD", valueFrom: { secretKeyRef: { name: secret, key: "password" } } },
        { name: "URL", value: "db://$(PASSWORD)@host" },
        { name: "MODE", value: "fast" },
      ],
      envFrom: [{ prefix: "ALL_", secretRef: { name: secret } }],
    });
    const { name } = db.metadata;
    const web = await started({ ...linked(name, "my-db"), env: [{ name: "MY_DB_ENV_MODE", value: "own" }] });
    const address = addressOf(db);
    expect(linkLine(web)).toBe(`${address}\tmy-db db-host ${name}`);
    await inside(web, `ping -c 1 -W 5 my-db && ping -c 1 -W 5 db-host && ping -c 1 -W 5 ${name}`);
    const port = (number: number, protocol: string): Record<string, string> => ({
      [`MY_DB_PORT_${String(number)}_${protocol.toUpperCase()}`]: `${protocol}://${address}:${String(number)}`,
      [`MY_DB_PORT_${String(number)}_${protocol.toUpperCase()}_ADDR`]: address,
      [`MY_DB_PORT_${String(number)}_${protocol.toUpperCase()}_PORT`]: String(number),
      [`MY_DB_PORT_${String(number)}_${protocol.toUpperCase()}_PROTO`]: protocol,
    });
    expect(linkVariables(web)).toEqual({
      MY_DB_NAME: `/${web.metadata.name}/my-db`,
      MY_DB_PORT: `tcp://${address}:8080`,
      ...port(8080, "tcp"),
      ...port(8081, "tcp"),
      ...port(53, "udp"),
      ...port(5353, "udp"),
      MY_DB_PORT_8080_TCP_START: `tcp://${address}:8080`,
      MY_DB_PORT_8080_TCP_PORT_START: "8080",
      MY_DB_PORT_8080_TCP_END: `tcp://${address}:8081`,
      MY_DB_PORT_8080_TCP_PORT_END: "8081",
      MY_DB_ENV_GREETING: "hello",
      MY_DB_ENV_ORIGIN: "image",
      // The spec's own wins.
      MY_DB_ENV_MODE: "own",
    });
    expect(JSON.stringify(environmentOf(web))).not.toContain("s3cret");
    await test().deleteAll();
    await test().api.delete(secretPath("default", secret));
  });

  it("follows the other container's address: in the hosts file at once, in the variables with the next start", async () => {
    const db = await started();
    const web = await started(linked(db.metadata.name, "my-db"));
    const before = linkVariables(web);
    await stop(db);
    expect(fileIn(web, "/etc/hosts")).not.toContain("my-db");
    const other = await started();
    const again = await test().untilState(await test().patch(db, { spec: { desiredState: "Running" } }), "Running");
    expect(addressOf(again)).not.toBe(addressOf(db));
    expect(linkLine(web)).toBe(`${addressOf(again)}\tmy-db ${db.metadata.name}`);
    expect(environmentOf(web)).toMatchObject(before);

    await test().patch(again, { spec: { ports: [{ containerPort: 80 }] } });
    const anew = await test().until(
      again,
      "recreated",
      ({ status }) => status?.containerID?.endsWith("-4") === true && status.state === "Running",
    );
    expect(linkLine(web)).toBe(`${addressOf(anew)}\tmy-db ${db.metadata.name}`);
    await askRestart(test(), web, "now");
    const restarted = await untilRestarted(test(), web, 1);
    expect(linkVariables(restarted)).toMatchObject({ MY_DB_PORT: `tcp://${addressOf(anew)}:80` });
    await test().delete(other);
    await test().deleteAll();
  });
});

describe("a container that is linked to", () => {
  it("is waited for until it runs, whether it is not there yet or does not run, with nothing acquired", async () => {
    const before = await test().audit();
    const { name } = named();
    const web = await create(linked(name));
    await told(web, `spec.network.links: container "${name}" does not exist in namespace "default"`);
    const db = await test().create({ network: { mode: "Bridge" }, desiredState: "Stopped" }, { name });
    await told(web, `container "${name}" does not run: the start goes on as soon as it does`);
    expect(await test().leaks(before)).toEqual([]);
    await test().patch(db, { spec: { desiredState: "Running" } });
    const running = await test().untilState(web, "Running");
    expect(linkLine(running)).toMatch(new RegExp(`\t${name}$`));
    await test().deleteAll();
  });

  it("need not run any more for what runs, but for its next start", async () => {
    const db = await started();
    const web = await started(linked(db.metadata.name));
    await stop(db);
    expect(test().get(web)?.status?.state).toBe("Running");
    await askRestart(test(), web, "now");
    await told(web, `container "${db.metadata.name}" does not run`);
    await test().patch(db, { spec: { desiredState: "Running" } });
    await untilRestarted(test(), web, 1);
    await test().deleteAll();
  });

  it("must have an address in the same network on this node", async () => {
    const host = await started({ network: { mode: "Host" } });
    const web = await create(linked(host.metadata.name));
    await told(web, `container "${host.metadata.name}" can't be linked to: only one with network.mode Bridge`);
    // As soon as it has one, the start goes on.
    await test().patch(host, { spec: { network: { mode: "Bridge" } } });
    await test().untilState(web, "Running");
    const away = await test().create({ nodeName: "somewhere-else" }, named());
    await told(
      await create(linked(away.metadata.name)),
      `is on node "somewhere-else", this one on "${test().node.name}"`,
    );
    await test().api.delete(`/apis/berth.dev/v1alpha1/namespaces/default/containers/${away.metadata.name}`);
    await test().deleteAll();
  });

  it("can't be the container itself, nor one that waits for it", async () => {
    const { name } = named();
    const itself = await test().create(linked(name), { name });
    const { status } = await test().untilState(itself, "Exited");
    expect(status).toMatchObject({ reason: "InvalidSpec", exitCode: 128 });
    expect(status?.message).toContain("can't be linked to itself");

    const [a, b, c] = [named().name, named().name, named().name];
    const first = await test().create(linked(b), { name: a });
    const second = await test().create(linked(c), { name: b });
    const third = await test().create(linked(a), { name: c });
    await told(first, `spec.network.links: ${a} → ${b} → ${c} → ${a}: they wait for each other`);
    await told(second, `${b} → ${c} → ${a} → ${b}`);
    await told(third, `${c} → ${a} → ${b} → ${c}`);
    await test().patch(third, { spec: { network: { links: null } } });
    for (const container of [first, second, third]) await test().untilState(container, "Running");
    await test().deleteAll();
  });
});
