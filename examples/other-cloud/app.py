"""A program in another cloud that gets tokens with its own identity: no key of AWS is stored anywhere.

Its cloud gives it an OIDC token, in a file. boto3 exchanges that for credentials of a role (AssumeRoleWithWebIdentity),
and the role may call the paths of one owner. Set:

    AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE    whose role, and where the OIDC token is; boto3 reads both
    GATEHOUSE_API_URL, GATEHOUSE_OWNER           the output ApiUrl of Gatehouse, and whose connections these are
"""

from __future__ import annotations

import os
import sys

from gatehouse import Gatehouse, ReauthorizationRequired


def main(connection_id: str) -> str:
    """Return what this program would do next, with the token or without one."""
    gatehouse = Gatehouse(url=os.environ["GATEHOUSE_API_URL"], owner=os.environ["GATEHOUSE_OWNER"])
    try:
        token = gatehouse.token(connection_id)
    except ReauthorizationRequired:
        return f"{connection_id} has to be connected again"
    return f"calls the API with a token of version {token.version}"


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1]) + "\n")
