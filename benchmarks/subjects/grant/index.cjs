// grant's own handler for AWS Lambda, with its session in a cookie.
const grant = require("grant").aws({
  config: {
    defaults: { origin: "https://app.example.com", transport: "state", state: true },
    demo: {
      oauth: 2,
      key: "client",
      secret: "secret",
      authorize_url: `${process.env.PROVIDER}/rest/v2/oauth/authorize`,
      access_url: `${process.env.PROVIDER}/rest/v2/oauth/token`,
    },
  },
  session: { secret: "a secret of this benchmark" },
});

exports.handler = async (event) => {
  const { redirect, response } = await grant(event, {});
  return redirect || { statusCode: response?.access_token ? 200 : 502, body: JSON.stringify(response ?? {}) };
};
