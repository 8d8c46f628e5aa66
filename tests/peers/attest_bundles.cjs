// Verifies every line of a file of Sigstore bundles by a public key: attest_bundles.cjs FILE PUBLIC.pem NODE_FOLDER
const { readFileSync } = require('node:fs');
const { createPublicKey } = require('node:crypto');
const [file, pem, folder] = process.argv.slice(2);
const need = require('node:module').createRequire(`${folder}/`);
const { bundleFromJSON } = need('@sigstore/bundle');
const { toSignedEntity, toTrustMaterial, Verifier } = need('@sigstore/verify');

const publicKey = createPublicKey(readFileSync(pem, 'utf8'));
const nobody = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const trust = toTrustMaterial(nobody, () => ({ publicKey, validFor: () => true }));
const verifier = new Verifier(trust, { tlogThreshold: 0, timestampThreshold: 0, ctlogThreshold: 0 });
const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
if (lines.length === 0) throw new Error('no bundle');
for (const line of lines) verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(line))));
console.log(`${lines.length} good`);
