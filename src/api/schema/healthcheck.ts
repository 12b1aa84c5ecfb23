/** `spec.healthcheck`: Docker's health check, with the probe kinds of core/v1. */
import { HOST_NAME, duration, intOrString, list, object, optional, text, whole, word } from "./fields.ts";
import { MAX_PORT } from "./network.ts";

const port = intOrString("Number of the port, or name of one of spec.ports.", {
  form: { pattern: "^[a-z0-9]+(-[a-z0-9]+)*$", says: "must be a number between 1 and 65535 or the name of a port" },
  minimum: 1,
  maximum: MAX_PORT,
  maxLength: 15,
});

const HOST = {
  pattern: `(${HOST_NAME.pattern})|(^[0-9a-fA-F:.]+$)`,
  says: "must be a host name or an IP address",
};

const exec = object("A command that is run in the container; exit code 0 is healthy.", {
  command: list(
    "The command, not run in a shell: [wget, -q, localhost]. [NONE] turns the image's check off, as Docker's --no-healthcheck.",
    text("One word of the command line, taken as it is.", { max: 32768 }),
    { min: 1, max: 1000 },
  ),
});

const httpGet = object("A GET request from the node; a status from 200 to 399 is healthy.", {
  path: optional(
    text("Path of the request, such as /healthz.", {
      max: 4096,
      form: { pattern: "^/", says: "must begin with '/'" },
      default: "/",
    }),
  ),
  port,
  scheme: optional(
    word("Scheme of the request: HTTP, or HTTPS without a check of the certificate.", ["HTTP", "HTTPS"], "HTTP"),
  ),
  host: optional(
    text("Host to ask, a name or an address; the container itself unless set.", {
      form: HOST,
    }),
  ),
  httpHeaders: optional(
    list(
      "Headers of the request; Host among them names a virtual host.",
      object("A header of the request: a name and a value.", {
        name: text("Name of the header, such as Host.", {
          min: 1,
          form: { pattern: "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$", says: "must be the name of an HTTP header" },
        }),
        value: text("Value of the header, such as www.example.com.", { max: 4096 }),
      }),
      { max: 50 },
    ),
  ),
});

const tcpSocket = object("A TCP connection from the node; that it opens is healthy.", {
  port,
  host: optional(
    text("Host to connect to, a name or an address; the container itself unless set.", {
      form: HOST,
    }),
  ),
});

/** What to do with a container that became Unhealthy. */
export const ON_UNHEALTHY = ["None", "Restart"] as const;

/** `spec.healthcheck`. */
export const healthcheck = object(
  "How to find out whether the container is healthy. What is left out is the image's HEALTHCHECK, else Docker's default. Docker: --health-cmd and its kin.",
  {
    exec: optional(exec),
    httpGet: optional(httpGet),
    tcpSocket: optional(tcpSocket),
    interval: optional(
      duration(
        "Time from the end of one check to the next, such as 10s or 1m30s; 30s unless the image says otherwise. Docker: --health-interval.",
      ),
    ),
    timeout: optional(
      duration(
        "Time after which a check has failed, such as 5s; 30s unless the image says otherwise. Docker: --health-timeout.",
      ),
    ),
    retries: optional(
      whole("Failures in a row that make it Unhealthy; 3 unless the image says otherwise. Docker: --health-retries.", {
        min: 1,
        max: 1000,
      }),
    ),
    startPeriod: optional(
      duration(
        "Time after the start in which failures do not count, until the first success, such as 1m; 0s unless the image says otherwise. Docker: --health-start-period.",
      ),
    ),
    startInterval: optional(
      duration(
        "Time from one check to the next in startPeriod, before the first success; 5s unless the image says otherwise. Docker: --health-start-interval.",
      ),
    ),
    onUnhealthy: optional(
      word(
        "Whether an Unhealthy container is left alone (None) or stopped, for restartPolicy to start it again (Restart).",
        ON_UNHEALTHY,
        "None",
      ),
    ),
  },
  {
    rules: [
      {
        rule: "[has(self.exec), has(self.httpGet), has(self.tcpSocket)].filter(given, given).size() <= 1",
        message: "a healthcheck has one of exec, httpGet and tcpSocket, not several",
      },
    ],
  },
);
