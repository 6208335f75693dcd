"""asyncpg: PostgreSQL's own SSLRequest goes before TLS.

python asyncpg_client.py HOST PORT USER [CAFILE]
"""

import asyncio
import sys

import asyncpg

from handfast.transport import ssl_module


async def main(host, port, user, cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    connection = await asyncpg.connect(host=host, port=int(port), user=user, database="postgres", ssl=context)
    row = await connection.fetchrow("SELECT version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    print(row["version"], row["cipher"])
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
