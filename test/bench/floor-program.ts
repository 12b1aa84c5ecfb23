/** The floor's own process. */
import { Floor, type FloorOptions } from "./floor.ts";
import { servePeer } from "./peer-process.ts";

servePeer(new Floor(JSON.parse(process.argv[2] ?? "") as FloorOptions));
