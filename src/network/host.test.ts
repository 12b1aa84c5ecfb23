import { describe, expect, it } from "@jest/globals";
import { masqueradeRemoval, masqueradeRule, portmapRemoval } from "./host.ts";

const TABLE = `*nat
:PREROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
COMMIT
`;

describe("portmapRemoval", () => {
  it("removes portmap's chains and the jumps to them, and nothing else", () => {
    expect(portmapRemoval(TABLE)?.split("\n")).toEqual([
      "*nat",
      "-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
      "-D OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
      '-D POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
      "-D CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
      '-D CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
      "-X CNI-HOSTPORT-DNAT",
      "-X CNI-HOSTPORT-MASQ",
      "-X CNI-HOSTPORT-SETMARK",
      "COMMIT",
      "",
    ]);
  });

  it("leaves them while anyone's container publishes a port", () => {
    expect(portmapRemoval(`${TABLE}-A CNI-HOSTPORT-DNAT -p tcp -j CNI-DN-abc\n`)).toBeUndefined();
  });

  it("has nothing to do without them", () => {
    expect(portmapRemoval("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n")).toBeUndefined();
  });
});

describe("masqueradeRemoval", () => {
  const rule = (subnet: string, bridge: string) => `-A ${masqueradeRule(bridge, subnet).join(" ")}`;

  it("takes the bridge's rules, of whatever subnet, and nobody else's", () => {
    const rules = [rule("10.89.0.0/16", "berth0"), rule("10.90.0.0/16", "berth0"), rule("10.91.0.0/16", "berth01")];
    const table = TABLE.replace(
      "COMMIT",
      [...rules, "-A POSTROUTING -s 10.0.0.0/8 ! -o berth0 -j MASQUERADE"].join("\n"),
    );
    expect(masqueradeRemoval(table, "berth0")?.split("\n")).toEqual([
      "*nat",
      ...rules.slice(0, 2).map((each) => each.replace("-A", "-D")),
      "COMMIT",
      "",
    ]);
    expect(masqueradeRemoval(TABLE, "berth0")).toBeUndefined();
  });
});
