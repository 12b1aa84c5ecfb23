/** How a container is reached and what it reaches: `spec.ports` and `spec.network`. */
import { HOST_NAME, IP_ADDRESS, labelName, list, object, optional, text, whole, word, type Rule } from "./fields.ts";

/** The largest TCP, UDP or SCTP port. */
export const MAX_PORT = 65535;

const portName = {
  pattern: "^[a-z0-9]+(-[a-z0-9]+)*$",
  says: "must be of lower case letters, digits and single '-' between them",
};

const port = object("A port on which the container listens, and the port of the node that leads to it.", {
  name: optional(
    text("Name of the port, such as http, unique in the list; healthcheck can refer to it.", {
      min: 1,
      max: 15,
      form: portName,
    }),
  ),
  containerPort: whole("Port, such as 80, on which a process of the container listens. Docker: --expose.", {
    min: 1,
    max: MAX_PORT,
  }),
  hostPort: optional(
    whole(
      "Port of the node that is forwarded to containerPort; without it nothing is published, and none is picked. Docker: --publish.",
      {
        min: 1,
        max: MAX_PORT,
      },
    ),
  ),
  protocol: optional(word("Protocol of the port: TCP, UDP or SCTP.", ["TCP", "UDP", "SCTP"], "TCP")),
  hostIP: optional(
    text("Address of the node on which hostPort is open, such as 127.0.0.1; all of them unless set.", {
      max: 45,
      form: IP_ADDRESS,
    }),
  ),
});

/** `spec.ports`, as core/v1; atomic, so that one container port may be published on several ports of the node. */
export const ports = list("Ports of the container, and those of the node that lead to them.", port, {
  max: 100,
  rules: [
    {
      // Without a hostIP, or with one of these, a port is open on every address of the node.
      rule: "self.all(a, !has(a.hostPort) || self.exists_one(b, has(b.hostPort) && b.hostPort == a.hostPort && b.protocol == a.protocol && (!has(a.hostIP) || !has(b.hostIP) || a.hostIP == b.hostIP || a.hostIP in ['', '0.0.0.0', '::'] || b.hostIP in ['', '0.0.0.0', '::'])))",
      message:
        "a hostPort is given twice: each pair of hostPort and protocol can be used once for a hostIP, or once for all",
    },
    {
      rule: "self.all(a, !has(a.name) || self.exists_one(b, has(b.name) && b.name == a.name))",
      message: "a name is given to two ports: names of ports must be unique",
    },
  ],
});

/** The ways a container is connected. */
export const NETWORK_MODES = ["Bridge", "Host", "None", "Container"] as const;

const link = object("Another Container that this one finds by name, and by variables in its environment.", {
  container: labelName("Name of the other Container, of the same namespace and node."),
  alias: optional(
    text(
      "Name under which it is found, besides its own, and of which the variables' names are made; defaults to its own.",
      { min: 1, max: 63, form: HOST_NAME },
    ),
  ),
});

const dns = object(
  "Settings of the container's /etc/resolv.conf; what is left out is the node's.",
  {
    nameservers: optional(
      list(
        "Addresses of the name servers, instead of the node's: [10.0.0.53]. Docker: --dns.",
        text("Address of one, IPv4 or IPv6.", { min: 1, max: 45, form: IP_ADDRESS }),
        { max: 3 },
      ),
    ),
    searches: optional(
      list(
        "Domains in which short names are looked up, instead of the node's: [example.com]. Docker: --dns-search.",
        text("A domain; '.' stands for no search at all.", {
          min: 1,
          form: {
            pattern: "^(\\.|[a-zA-Z0-9_]([-_.a-zA-Z0-9]*[a-zA-Z0-9_])?\\.?)$",
            says: "must be a domain such as example.com",
          },
        }),
        { max: 32 },
      ),
    ),
    options: optional(
      list(
        "Options of the resolver, instead of the node's, such as ndots: 2. Docker: --dns-option.",
        object("An option of resolv.conf(5).", {
          name: text("Name of the option, such as ndots or edns0.", {
            min: 1,
            max: 63,
            form: {
              pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
              says: "must be an option of resolv.conf such as ndots",
            },
          }),
          value: optional(
            text('Value of the option, where it takes one: "2" for ndots.', {
              max: 63,
              form: { pattern: "^[^\\s:]*$", says: "must be a value without spaces and ':'" },
            }),
          ),
        }),
        { max: 20 },
      ),
    ),
  },
  {
    rules: [
      {
        rule: "!has(self.options) || self.options.all(o, !(o.name in ['ndots', 'timeout', 'attempts']) || (has(o.value) && o.value.matches('^[0-9]+$')))",
        message: "the dns options ndots, timeout and attempts need a number as their value",
        at: "options",
      },
    ],
  },
);

const hostAliases = list(
  "Lines added to the container's /etc/hosts, an address with its names each. Docker: --add-host.",
  object("An address, and the names by which the container finds it.", {
    ip: text("The IP address that the names lead to.", { min: 1, max: 45, form: IP_ADDRESS }),
    hostnames: list(
      "Names by which the container finds the address.",
      text("One of them, such as db.example.com or db.", { min: 1, form: HOST_NAME }),
      { min: 1, max: 50 },
    ),
  }),
  { max: 100, keys: ["ip"] },
);

// Link-local and ours to give: the lowest bit of the first byte must be 0, or the address is a group's.
const MAC_ADDRESS = {
  pattern: "^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$",
  says: "must be the MAC address of one host, such as 02:42:0a:59:00:02",
};

const onlyWith = (field: string, mode: string, hint: string): Rule => ({
  rule: `!has(self.${field}) || self.mode == '${mode}'`,
  message: `network.${field} is only for network.mode ${mode}${hint}`,
  at: field,
});

/** `spec.network`. */
export const network = object(
  "How the container is connected: to the node's bridge unless told otherwise.",
  {
    mode: optional(
      word(
        "Bridge gives it an address of its own in the network of the node's bridge, Host the node's network, None only loopback, Container the network of another Container. Docker: --network.",
        NETWORK_MODES,
        "Bridge",
      ),
    ),
    container: optional(
      labelName("With mode Container: name of the Container, of the same namespace and node, whose network is joined."),
    ),
    links: optional(
      list(
        "Containers that this one finds under an alias and by Docker's link variables; they must run, else the start waits. Docker: --link.",
        link,
        {
          max: 50,
          rules: [
            {
              rule: "self.all(a, self.exists_one(b, (has(b.alias) ? b.alias : b.container) == (has(a.alias) ? a.alias : a.container)))",
              message: "two links have the same name: give each an alias of its own",
            },
          ],
        },
      ),
    ),
    dns: optional(dns),
    hostAliases: optional(hostAliases),
    name: optional(
      text(
        "Name of another CNI network of the node, from the agent's --cni-conf-dir; the network of the node's bridge unless set. Docker: --network NAME.",
        {
          min: 1,
          max: 63,
          form: {
            pattern: "^[a-zA-Z0-9][-_.a-zA-Z0-9]*$",
            says: "must be the name of a CNI network: letters, digits, '-', '_' and '.'",
          },
        },
      ),
    ),
    ipAddress: optional(
      text("A fixed address in the network, such as 10.89.0.10; a free one unless set. Docker: --ip.", {
        min: 1,
        max: 45,
        form: IP_ADDRESS,
      }),
    ),
    macAddress: optional(
      text("A fixed MAC address, such as 02:42:0a:59:00:0a; one is picked unless set. Docker: --mac-address.", {
        max: 17,
        form: MAC_ADDRESS,
      }),
    ),
  },
  {
    // The API server checks a default against the rules before it fills in the defaults below it.
    preset: { mode: "Bridge" },
    rules: [
      {
        rule: "(self.mode == 'Container') == has(self.container)",
        message:
          "network.container names the Container to join: it is needed with network.mode Container, and only allowed there",
        at: "container",
      },
      onlyWith("links", "Bridge", "; use hostAliases elsewhere"),
      onlyWith("name", "Bridge", ""),
      onlyWith("ipAddress", "Bridge", ""),
      onlyWith("macAddress", "Bridge", ""),
      {
        rule: "!(has(self.dns) || has(self.hostAliases)) || self.mode != 'Container'",
        message:
          "network.dns and network.hostAliases are those of the joined Container with network.mode Container; leave them out",
      },
    ],
  },
);
