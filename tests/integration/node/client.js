// Does with Azure's clients for Node.js what a program does, and writes what came of it as JSON.
// The argument is the line that `keyhier keyvault serve --json` writes.
import { ClientSecretCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";
import { SecretClient } from "@azure/keyvault-secrets";

const ready = JSON.parse(process.argv[2]);
const credential = new ClientSecretCredential(
  ready.tenant_id,
  ready.client_id,
  ready.client_secret,
  { authorityHost: ready.authority, disableInstanceDiscovery: true },
);
// Its check compares the ends of domains, which addresses have not.
const options = { disableChallengeResourceVerification: true };
const keys = new KeyClient(ready.url, credential, options);
const secrets = new SecretClient(ready.url, credential, options);
const polling = { intervalInMs: 50 };

async function all(listing) {
  const found = [];
  for await (const each of listing) found.push(each);
  return found;
}

const done = {};
const secret = Buffer.alloc(32, 7);
const kek = await keys.createRsaKey("kek", { keySize: 2048, tags: { vm: "web-01" } });
const cryptography = new CryptographyClient(kek.id, credential, options);
const wrapped = await cryptography.wrapKey("RSA-OAEP-256", secret);
const unwrapped = await cryptography.unwrapKey("RSA-OAEP-256", wrapped.result);
done.unwrapped = secret.equals(Buffer.from(unwrapped.result));
const rotated = await keys.rotateKey("kek");
const older = await cryptography.unwrapKey("RSA-OAEP-256", wrapped.result);
done.unwrappedByTheOldVersion = secret.equals(Buffer.from(older.result));
done.versions = (await all(keys.listPropertiesOfKeyVersions("kek"))).length;
done.newest = (await keys.getKey("kek")).properties.version === rotated.properties.version;
done.tags = rotated.properties.tags;

await (await keys.beginDeleteKey("kek", polling)).pollUntilDone();
done.deleted = (await all(keys.listDeletedKeys())).map((each) => each.name);
done.create = await keys.createRsaKey("kek").catch((error) => error.statusCode);
await (await keys.beginRecoverDeletedKey("kek", polling)).pollUntilDone();
done.recovered = (await keys.getKey("kek")).name;
await (await keys.beginDeleteKey("kek", polling)).pollUntilDone();
await keys.purgeDeletedKey("kek");
done.purged = await keys.getDeletedKey("kek").catch((error) => error.code);

for (let number = 0; number < 30; number++) {
  await secrets.setSecret(`bek-${number}`, `value ${number}`, { contentType: "BEK" });
}
const listed = await all(secrets.listPropertiesOfSecrets());
done.listed = listed.filter((each) => each.contentType === "BEK").length;
done.value = (await secrets.getSecret("bek-7")).value;
await (await secrets.beginDeleteSecret("bek-7", polling)).pollUntilDone();
done.gone = await secrets.getSecret("bek-7").catch((error) => error.code);
await (await secrets.beginRecoverDeletedSecret("bek-7", polling)).pollUntilDone();
done.back = (await secrets.getSecret("bek-7")).value;
process.stdout.write(JSON.stringify(done));
