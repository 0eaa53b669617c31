// oidc-provider (npm), configured to be as hard on a client as it can be: PKCE and pushed requests required, every
// refresh token good for one use. Its own pages for signing in and consenting are for development, and take anybody.
// Reads {clients, requirePushedAuthorizationRequests, resources} from the standard input; prints its port.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';

import { Provider } from 'oidc-provider';

const given = JSON.parse(readFileSync(0, 'utf8'));
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: given.clients,
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'],
    clientBasedCORS: () => false,
    conformIdTokenClaims: true,
    cookies: { keys: ['a key of a test'] },
    enabledJWA: { clientAuthSigningAlgValues: ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'ES384', 'ES512'] },
    features: {
      devInteractions: { enabled: true },
      pushedAuthorizationRequests: {
        enabled: true,
        requirePushedAuthorizationRequests: given.requirePushedAuthorizationRequests,
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, indicator) => ({ audience: indicator, scope: 'openid offline_access orders' }),
        useGrantedResource: () => true,
      },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    issueRefreshToken: () => true,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', 'orders'],
    ttl: { Session: 600, Interaction: 600, Grant: 86400, AccessToken: 3600, RefreshToken: 86400, AuthorizationCode: 60, IdToken: 60 },
  });
  provider.on('server_error', (ctx, error) => console.error('server_error', error));
  server.on('request', provider.callback());
  console.log(port);
});
