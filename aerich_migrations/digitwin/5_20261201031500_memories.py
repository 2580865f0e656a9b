"""Memories: what a twin remembers of a person for good, under a namespace and a key.

A namespace is its labels, separated by periods. Names compare by their code points: a place and
those below it are a range of the key, whatever the language of the database.

The previous release can work with this schema: it neither reads nor writes the table, and its
erasures remove memories with their person.
"""

from tortoise import BaseDBAsyncClient

from digitwin.kernel.migrations.steps import in_one_transaction

RUN_IN_TRANSACTION = True

# Namespace and key together fit an entry of the index, which takes 2,704 bytes. `words` is NULL for
# a text without any
MEMORIES = """
CREATE TABLE IF NOT EXISTS memories (
    user_id uuid NOT NULL,
    audience varchar(8) NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value jsonb NOT NULL,
    language text NOT NULL DEFAULT 'english',
    words tsvector,
    ttl_seconds double precision,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, audience, namespace, key),
    CONSTRAINT fk_memories__user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT ck_memories__audience CHECK (audience IN ('owner', 'visitor')),
    CONSTRAINT ck_memories__namespace CHECK (octet_length(namespace) BETWEEN 1 AND 1000),
    CONSTRAINT ck_memories__key CHECK (octet_length(key) BETWEEN 1 AND 1000),
    CONSTRAINT ck_memories__value CHECK (jsonb_typeof(value) = 'object'),
    CONSTRAINT ck_memories__language CHECK (language <> ''),
    CONSTRAINT ck_memories__ttl_seconds CHECK (ttl_seconds > 0 AND ttl_seconds < 'Infinity'),
    CONSTRAINT ck_memories__expires_at CHECK ((expires_at IS NULL) = (ttl_seconds IS NULL))
);
CREATE INDEX IF NOT EXISTS ix_memories__expires_at ON memories (expires_at) WHERE expires_at IS NOT NULL;
CREATE OR REPLACE TRIGGER memories_guard BEFORE DELETE ON memories
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
"""

STEPS = [MEMORIES, "UPDATE digitwin_schema SET version = 6"]

# What the way back loses, besides what is in the tables and columns that it drops: name and query
LOSES: dict[str, str] = {}


async def upgrade(db: BaseDBAsyncClient) -> str:
    return in_one_transaction(STEPS)


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '50ms';

DROP TABLE memories;

UPDATE digitwin_schema SET version = 5;
"""


MODELS_STATE = (
    "eJztXWtz2ziW/SsofenuKo03cewkm2xtlZ040952x1220/PKlASLkIQ1RahJ0IpnNv99cc"
    "GH+ABpQi9T9O2qdmwSB6QOIOC+cO+/ew6fcLng3sEH4d0zP6CSC++aBYH6p/eO/Lvn0RlT"
    "v9Q37JMenc+zzeCSpLeuxo4ykEEQYQINug2kT0dSNRpTN2DqksOCkc/nMnp+79JjJAsnCy"
    "6nhBJ4xnvCZUAc5jJ9Z8oVljDV9EFOuTch3FMNDuA5jhipB6lrm+sy9PgfIRtIMWFyynzV"
    "8T/+qS5zz2HfWJD8Ob8bjDlznRyV3IEO9PWBfJjra1++nH/8pFvC694ORsINZ96y9Vy9gC"
    "IvaR6G3DkADNybMI/5VDInQ6MXum5Mf3IpemN1QfohS1/VWV5w2JiGLgxG77/GoTfSFKTj"
    "fsd8j7kHc5/PuOT3LDjgTnAAL/Lmv+OXznQwGHy+vBlcn90MBr3SqMLLFUYlvqTGBWYE9y"
    "RQ+O/vUb9LqvTVHjzgw88nVz++ev2TJkcEcuLrm5rI3ncNpJJGUD0cS/5h5ONZmx+Ec0+a"
    "xyCDKAyEetNVhiC5sByD5fxPOHy5JVLVy6p//nT48ujN0dtXr4/eqib6LdMrb2p4P/98o+"
    "ld0jnyGXzyAZVlRj+qO5LPmJnWPLLArBNDD5JftsVzQlyO6s9i8eNP25m5N+e/nl3fnPz6"
    "G3Q/C4I/XM3Uyc0Z3DnUVx8KV3+MJrpQi2W0pKadkL+c3/xM4E/y98vPZ8WvQ9ru5u89eC"
    "caSjHwxGJAnSwbyeXkUm6Aw7mz4gDnkTjALR1gvd+tNMB55AYGON6K1h/frW9A+znKIIHZ"
    "yR8F2BqCyP6M7aPCxZJV9k0qwYi6RlY/TKlvZrUAK7CqXnP/+OzN6LeBy7yJnIIw8eJFDc"
    "G/n1xpjlWrwjfic3zrMLqXJzuQVIaBDc9LxEoUr7Tf9JRGowTkbQnFeZ5fvm5A88viurNk"
    "GW4VZrTnDJRgFpgk5JoJnUN1bz6/PmrA8+ujSp7hVp5nGfqeIjD0DLtupSaSB+1OGXmxJ8"
    "oIl2xmTWoehKQWSVWLqL+afJhHogLQUtFQLd4rDW8Wh8J/m0d4xiQFg1h5hP/n+vKzeXSz"
    "mOLo8pEk/0dcHmxtcczYIG9D7kruBQfw2KcwNgJHuZFO9vUffz35a3HL/3BxeVocQujgtL"
    "CqjumIDWZC6VeWGlkJiDpZntm52nT4iM+pJy2pLSOR2zy3YcB8S1IzkE26MTpB573gK64C"
    "ZSRO1e/fwek2vjO6fWAalgn+JHzGJ94v7EHTfK7eg3ojZtzzYk/Yl7ij/Zywy6uZF/DpIn"
    "VUZr+v6uNHJl5N/cn1h5OPZ72qtXYj5MYu5d/y3e7l9H2c6fJ2kyNcvQf5/OXiole1ZGyE"
    "8d+hv1+T7jrKdHm1bMD0UtDaCNGfaPd5LsmmFTTDOn1LR3cL6juDigUbvhyqP2kw+J7G0E"
    "+/XDFXR3E0WFNO4v46snbDFCkZFNfmKhvec6M67CpZYPNbmywg6Fx11FWSwoBO2MBnI+E7"
    "a5P1BTq70n11la9AhP6IbWRaXeuuukQULPniUGSW+twmUL41O5wVr1BPzSEnfrZ+UsLZL5"
    "5YuMyZsI9iFM6YfqwherHcrF8fu3iXAAZOjGgYuXhCJPsmiZxSGQcXEugrKAckVrb86n31"
    "bqaM6Jch6jGCTGmg2qRTgkT6IBkOA0b90XRwz0ZS+MMhEWoVJ5JLAHrQzpPq3Q/IuSQ8IJ"
    "5Qj/rqaXbJlPnq/VXn+g141ACCHokrqKMeInyy8LlUHWDoI4Y+Yugjhj4+F7cJhj52fIAx"
    "9PHZjDKGPm7Yd6GlyzKf1TFiKWB3sXg7iw87bhTveFwT73hcjneMpfYyxzdKYagQLJaQTr"
    "Bctwyd/fWm3iufrkIXl5//nDQvuuqNlEesWcztIm6H4aagPf7H3KWR5rqDkNNGU/1lzVR/"
    "aQjt1faOQehzG9bzqO5FnR6+OHrbKIz66G1NHDXcNM/yKQ2mq8zyBNeJJWbbgb73POC33O"
    "XywYbqPGqHy4lYeJF/ex+D1/fkhMCceQ7QtKcsM98XhliKmtMBCaCLS3TTky61R11KGyKV"
    "ks3mJudnpa0uC8Eo9qKxbiH8O1MEUPWsXSI6OW03fz7LZTQAx8AdM5iYq/XsAgz1bBOroS"
    "e5IQ6l3khVgKKVqs1WKozRb12MPkY7Y0RuC6LqHo3IrQ6n227URSZ21BhukY8trYuzyARo"
    "Ng+wANKYQzSWiDGhBJgyRljUNMV4Boxn2K6KhPEM6O5uhYiJ8QwdH2CMZ3g2o4zxDBu2s+"
    "h/S3RWmweT9h10gm3FOjj3xT137EywWUz3jLBb8aQnx6bMvvTqyJEirgt07zx6ZMpGd0E4"
    "s+E9i0HO7TlHl69hYdm4y/ePkEIswiAYCd+wS35yBa2Y3yVkgfQxQDs1zT9efjm9OCO/XZ"
    "19OL8+j83SqQCpb8IldYFHdryrs5OLYiKzYLBMI1g4TCaEy6hXYWPK4gpM3yrgtuZ3emW3"
    "VJ9eXl7kVpTT8+KS8eXX0zM12X/KU142fqD7Bd0vbZXO0f2yp+6XjJiSqXuxzuHgivobe7"
    "l57vqQ8DIDh9FblUvQUeesWma5sPZVAbSZq8rQEj1V6Kl6h56qd+ip6ryJGz1VHR9g9FQ9"
    "m1FGTxV6qjYoSqCnCj1V6KlCT9XecY6eKsPCgp4q9FShp0pPavRU7WIg0FPVTgUHPVWPkY"
    "qeqnZQvwNPlZ6oRidVMoXr/FMwDRp6piC/rM74Ebma9CNKTqmqRuiPQn/UO/RHvUN/VOcN"
    "2eiP6vgAoz/q2Ywy+qM27I9iM2rKTVOTDywBdNAj9eqwiatEtaq0aep76PHbqcdPCbfCi8"
    "y/8GRT3rVq45oZ3Q4zGzyvM2a2gEn1oSZWg5PFtGNIOmX5DMLb9D0Hkts5zY3gHbq6xj5j"
    "++TnKtlI22/Pa9tmUmnQy4mJ2VpP63BmrDfVRcaK+ZvWIc2qIuleslU4QLAOWTZVRfeSK7"
    "i7ia/ih6ifLtG0XR9EsWyq0R1hqK1a55mI96JBrrZrk/MzURFKxVKfQJid6BM+Uy8OtenG"
    "3I0PysS998kdm0vCPSKnTF3079V68kMALgwSSLW7Tpjp4M2mHwHl+37mjsM8sphCB0ovSP"
    "CEB+hBQQ8KelDQg/JcTK/oQen6AGMM1EbLq4W+rZsiA0EXRZ7NO/X2NpappH0HDeibD7nG"
    "gxx4kONZcf6URQJbxv0uagPyf7HB7YNkJhsQn1TqW3ncSipX28iOlK7/PDx89erN4YtXr9"
    "8eH715c/z2Rap9lW/VqWGn538GTSw3FGXVzAl9bV0bzGyqURVQHaJ/YzpvINUOuJJKlEdi"
    "zFGb9SI8rtM+p3VshrZTr/IoVFjrD+0ESxfx2ud2uut6Tl4gd4wnP9HaVfInOxQ3oe/1jG"
    "6hUqt+vV9olGk/ADNGQ8fQpccI+zaaUm/C3pHFlErtkJmDZjnic+pJElDuEOo5y7vwdHUl"
    "WDCfOWVP0Ab6RNcPun7Q9YOuH5SA0fXzLAYYXT+bdFao21zabTBZyO52mD2ytej5Jtk3wx"
    "JUbSjPgbpgrd21pRwEP2vWcyBk3Z71KQNFz5b2PAp572yCr5GYzfWR1W1pXdv2N3fRbo7i"
    "ZOY8qSJvldHN4nBs2zm2GTOapcZQRmKQU35ddKk3CenEKiYhi+nCnl84jH3c5Cz2cfVR7O"
    "Pi3qPWmIEYaxu1nT+8DESXeFlNo4FvR+sSgHSW6fSZeh67p64dqUUYUlum1nXBa+YHciDF"
    "HbNcDMxgpNlMszW1SGcVnVIIy7Ugg0BCDYTKIP4m09DhwpJbIxhpNtNsTS3SWS0XqM9hKW"
    "nlMEhqmdSVlwFcApptXdJWjs1CkNIypdybh7EIakNrEYbUlqkVoVyJ2xIOyS2Ty76pzsuk"
    "VsdTp4C1gqlbxuquo6a5w2ZzIZk3ehjcsQcbK6MB2j1j41YyE2KoOoaqY6h6b5VQ9RMlUM"
    "sLMekZQ9TTu/360HQQy+XAFRPLXEXvyHAYB7kNh4QHURC5zhRKFK8jiIZ2+qqR6k3ErRZT"
    "QRzuEC6rExSt2S+EpkM9BwhuvqUBU72OVXcBYWraPpAvv4GXsK+D26MrH88uzm7OICIeMh"
    "7dPhBK5qEf5UWiHlGzOgh9hiHt+x3Svl8RnL0X8X9/MvxI/mvjAGQcXSNzhGe1DLVEdDEp"
    "xTYOjiv2ReiPrPzhWQzybMezcQF5nGrzIoIKgVkhSLZ1m6U6i8GgmdLkhbeym7cxYodBm0"
    "E4GilZe1ub2rZDNvkcgsT8+BM0NhvkUN1bII6ahCcdVYcnHZXCk7RQphQiz2pG51Hd41nt"
    "WQ23vdp9r7QWY2qH1hkp8TBpBwOIS7a7JzUpXTPq9qptSvp2v4lRKVAtG1uVbqkcTSEJdW"
    "QGCkgI7ngiPAb2CBbIvlo4vDvmECnirNTUJbdsLHxjuuu1+gMr0nA4FT7/l1C/vCPUddOO"
    "9JHduCXhklD4BzJl8yDqJLYcUd/l0RMPoDc/9Dz1dtCbzqjgUy+IdF6wcVFJILcCEXPm9c"
    "GgpU1X0QNn9IEEkqtXUJyrbtc1Rnnh7NZUyKQu2dgSs5njl48bpLbvr9tJnrFqm1Qnl3LM"
    "j1U8ERKvIrZjnIG16awPjm9xfD22YIH1V3iJwtFt8+jGu3Z5eKsPGmcgnbCw7vqYcSz2lC"
    "mvCd1MEZgcwhQOK4RhgTrlHvUfKhiNEQU602yze0ZonewWK97pFFYz+PT888nV38xz+NSg"
    "qJ/+7ebspJjkxGf3XJiOy9fxnkUh96tyP2XU4D+o4z1BIOercn7HHiz9Y0tE9yyy23GNuR"
    "OlFMipIRl+jVs9C+qEPFKsR93kCPRhTTXqcj72iUdl6Bv86nVLSA624jrSsjm9o2WkXebP"
    "C0bHvZqQOrjdbxRTx+g9a2j/1CFr2iwZgM0SrJSRUAuWRarNilHQmrZUUjdqBmlXR2I241"
    "JXcy2bQTfX7RrmxuiJli79HOjJIuH0k+DH0Z7FuwWxkb65gTdBdEmB2nEhiblLTcFY1UkN"
    "k/Zd4hzT5qKBzcbAFhcNspO1MiDU2GxErVzqiViSaU57gkDOV+U8I1bZzvgcEEdg1RHQUq"
    "6lZpdAkHUb1tul1n2AooBzEZ31qlLuMo36TVS8Udq+cZxLfLjIS487JVEewoX4FDmlHhkO"
    "fTYT90qEiaJMhkMdA3LLyIwHgS7hniptEGNDwnlJ9dvak756Uigc/Klax3e5TyJ1V0fDxH"
    "1inMoeqTEYp/LMBfH8QmA71GU0DnerhxstRDtbWvOkD+y9kzkYCqGriv6VgSV1s76jsSU7"
    "nvjokd/9dEePPHrk0SOPHvl9Nt18oKMpc86UTu84ES+maqyFRv160w1LGg5GAGxquLlncM"
    "q8TwL1kzmEBmTsCipfHRI9l0xnkJpA1rCPWCYpWycxWcvsIrn15vhlkwVHtapccfQ9TCDT"
    "goiGzNYaOpx5dslNspgd5i4QCy8yOW5/rr9tMNPfVs7zt8WNVdKJQR068X1asaUmgAK7uz"
    "7SDc97iogcOMDwj3+WpJN/sUEqTzSM/ciDuqRZYgAIHnVvZoJk3+ZcdbdKJbQcslUDjJbm"
    "kqVZUpcNQk9yg8H50XqGWSgelWzzON9TN7TU0FMIWvn6+6ueXzPqj6a9Gt08btGvV8wjdR"
    "nShqjGNso5hLlHWcsgfF3HtasezOHwFe1QDUc1HNVwVMNRDUc1HNVwVMOfkdyOavizGGZU"
    "w5/HOFeo4dUZW6uU8B2ka32aId1YYtaW6eFXLJgrElivRhNP2/TrdXEoM+zHbe385C71Jq"
    "F6UTITDnN/CEjSTXSUYCoWSvmWzIPUmQsKKTP95KxAwX2+Rk+ozqM6j+o8qvOozqM6j+o8"
    "qvPPSP5Hdf5ZDDOq889jnFGd35k6nzuwBKf7RWhOTFN9WiwH25388WK7wscODou1y5Ry7q"
    "lvEXdozFeVNSXXrF9vUNE2lAHPICxSA7o0kCSLjeMX4FxBHyrW6vq4PwSEeWpAWQDXlFIB"
    "lUgg5x9cfTCHQ2yk56hcCpuL0XQ4hNSBLCBjX8zivBFqHiv1kQyHEQe63UBdHg7XzhBBZ1"
    "aqbNIerTWrWGv0pLChOwV08JTb5msI3qnPZWV5jNt3kNwNG2T0imO3kaeQLhkRdnzoG00N"
    "HdRN2iWofQnopM7fFd1vJJqFadMGTi69sympaAq5ksEZBemylNTDPS0WTUXomzxaTWFriE"
    "S34eiOWX/hlqhtfNmeVFDa9y8cSmRPJpHB19Ra/9+x62H/Vf9cxWG9HtpxvsQg6/tocIGI"
    "jqqsnMnNx3bwqFnzJJyJVSMGQg1Y2IDnoa+WbPae8Nks1L33Cfs2YnMZlWjlkoyoB+kxF1"
    "xOHZ8uPNM2v8nuI9tK+rcSiYdDoivNSrKYRsEv6s+0AVhmfKZTyzvk9oFQ4rGFLkK7pmBh"
    "F6bxxIUb0gl0x3yPuQdzn8+45PcsOOBOoEs6vNmzkg7x5LHZ7TMQ3O8b7Pfsnjvm6Jhqd0"
    "sWgx6XNTwuE596q1kL8ki0FrRKeWllYAL6q7c2yllJxXaci1gc6TaP9H4F7z7NoD4i75WU"
    "sDy7ZWo/CZ/xifcLiyJJz9V70CrhI5aAv8Qd7Sepy6uZF1BLRKqgZOeU+vgOc5mMxOKT6w"
    "8nH896359Ksb0Jfe9cslnPqNmmd/v1qq1U7QZcNWyu3FI/zm+gyLtXqqj2679Tf89YAEZu"
    "7cMXwlXKpuuCvgjW6CgvAtyaUs8R4zH8OuYuMyq4G34EKLmnzBXeJABdWWHVp+4DTv0VBR"
    "EEAeh11AU9+sfhMKLFiXThz+riTwdkOIyqP0QX4YnCh0oXXPWe6eS9agiEpnC4B+/JfKWy"
    "C6VCc6dPou8BWOYzUHjGnD64gsZQ6j0QEGa/ejrs6oCc6I8Nqj98cDDxLz+5+tj3LC61OI"
    "viIVxXvwXq5vutm+NWuNFTKug47rjoGK/eNt+XDGSN78v+qAMWX5eqOkk7K5L01GbBDR+R"
    "wUCsLdpYY8nLht8MBOsSNKpLEAuWNiRnIEhyI5J3Gnz8/OiN9SwbX0wGsntXjOlELTz2KV"
    "SZrThoeDBgvi9MBRmVysuoV7F6Z2DFNJ8Kt63hSK/sOM3n5eVFjvnT80L4xecvv56eqU1T"
    "D4NqxGVFLEwgqb+aFpRHohW9zaoQUxSuMsZZHI5wm0c4th1a6rt5FJqI6r0lMVsbcZh8yJ"
    "i0r5f97ifNj/tP8hOtXS4UHb5/pSsw9oxelGyDfr0jRcf3DzLlHB/3pfwFgvLA4eDDGcZA"
    "Rr6JuS8g5scnIzVF3xOP3cPvU+pNTGmsVugDvCFwNlMfJA6II4gnVB+qiUvn78B74c1DOZ"
    "DijnkB1OD2wasgAhZFES6Y+ttjHJwI6qnUic5iUqLPOai+/K/ewucSMmfFgYngp4Be4DmQ"
    "7kf01VNEKHOPyTyC5p8QCE99Wug5QqM7A90Zz3yvQnfGM5Lw0J2xya8Lmt+3aH5PBA8bgr"
    "OY7hkvXzYyXr6sMV6+LBsvdcZSG45TQPcI3op1OJamLZ0ceRRS3YjqrLZRJrvSyVyEreRq"
    "bhvbm07GqHMyD1ZkuAKNRFcQPQCtl63IcwmMNJdpzpkMLBgu4ZDcMrmpocWeXxMUKS5TrK"
    "1Xqy7HZjDSXEXzqotFBRqJNmx7ShKmI8l8q+0uB0Jaq+bvzH7SzpDSCkrZN9V5mc+ac9cJ"
    "YK1In5axuuuQnjBYySydgaFNuqU2aYw6wKgDjDrorXpw81qE/oj1Ko9uxvf7DQ5vBrqpxf"
    "FNfYIyOl6pGA9nOoOQdrvrc5E/wLHDYMF8Auuw+XimXRdRjqGkYe5YJRGQuhnOLKb9qDvR"
    "YDlkLHwyEcKBI5V/hEKyCLjQYQg0IPra2hW5MBwAwwHatLphOACKXq0MB+jm9yWzL9lQWo"
    "BhlEXxeE2QJDxuHAewhKDrtJHrNBgZ8/N+cgWtqmA3MifoHQNk/ziuofTj5ZfTizPy29XZ"
    "h/Pr89i4ka7j+iZcWp6QuTo7uSjwq+XLMr837FsFvSmgCxO4bs88++tNvbUopfri8vOfk+"
    "ZFE9J3NCmgSaEdNO+3SSGm/zfqSz7ic1qV79jQrl9vYpgvm1qmP4b0SnNfTHw6i2wDkrp3"
    "QZJxCR4EBgRtA4BSvH0CiU4lV59ZJxaGsEt9cMBn4+okyJt8CJgpfuaOakAWU+5GZgkNy9"
    "gk0NiAxoZnvr1gMPWOgqnVomTDbdy8C6InptfYd3rhaabqJtUe9yWiHck1nqpc/VY88WgU"
    "7rhROJw7Kw5wHokD3KIBLiny1fplScU3VTmKkZ9+uWJuWlV4s+p9y3Y6k3YPr/h9u/r4lS"
    "LoAnSlnlENX97u12vfQPTAhZaNle+o1N47MhULMoP8wVEIK9Txmaq3J0pHHg6X3/nhsA+K"
    "sPbAK53plgaMjFwxujPp3Bvtew0lOghv/5eNDCtdTWW6JaRz1Zk3KMBVK87Mc+aCmwrWV5"
    "OexXRQ49uK4KyWAEftDKbo37oqdTlYl9Ku7rpCoBrgqiMDNX61PGxF51rbRmDL3rUVaEaK"
    "7SimrisWzGChq02pmEHtMKNisn/ubUJFVMGetwq2I5WipiZ5oU1j5cKmOPnPSvYXY0juRU"
    "ksVMflSKLaKh5JpL4oU1i8mGgvm8M8cLzVVjHfQv+oabRQ4kVN46k1jUibt92rlqhW7VOY"
    "F7ZoEa6W/WrUyGrRD6udN9Qgo03IjvYlBllvznprZLNrKXzm/Mpmwn8wS2a5Fo/IZTNoxZ"
    "uf6PK1xESGwwQ4HL4n02wgk65VZwpkKth31+hpDRnrjj3YbPVx887JVi9fNM0UV5sq7lHx"
    "CiOgNhoBBZkXzEXdq6dwFtNBafVtg2n8tnIOvzVF6gRzaqK4OhI/B+oEx7sOx9cVR8uUVw"
    "fwpIDdx+88De1bidRxqTcJjSenqid7FoNzfYW5vkiS9hcYv/6djZTkVuFyS0BdCAmsY/z6"
    "97MPN5dXWhONsg0URGPV15hn+l4wPpnqfuMLgRZ/k8+U9wJJdxAw1YNpAOpcQXkcnmdr4A"
    "5i3+ZcLT2rlAPKIbEgUJsNPxjr2fEBRkdjBwe4NcasM58GoV/hYUxu9utNWCxq1tSE5ZEY"
    "8H55Pi/QcYNwnTlEeO4DhBJSMqXB9IBchZ4uCRQZpYbDkZjNtS1KRx2CbQo+lsHEtc0n4a"
    "nAvT0V2AY3b6tMOJs/zBbzNYCv1Qo8p7gOkv36qAHZr48qyYZbplzeNjQvER0k+LiRZf24"
    "xrB+bCiCrsvn2RjIloh2nHDrVPnoWzYJvRVE4iwOBeIWCcT579pS6rJWagtYNF60baRbo/"
    "qc+EohUKrKR3BsR4Ng0IFKrR5RhmjcPkoYkxzNa6QWJVCyoErCVmoIZETV56nirshUiLv3"
    "2i2vSFbjEIBKwryR/zA3O/k31OlzUXb0k+DH0Z6pNLGea+npz6MwqSFmO9mZghgvNTZ+zw"
    "ykExTv2u1JpWSzuUmJqQ4QzUA6E6u4sTIjjtoS7SXUJQoVkBaJpTnPqe8Lq6K2KaALwQE7"
    "OIyATssOfoNao9jVK3RNFTlL/e0GvEr3UNJCF8oIxFimKtY7spiKtM4FFLToq59w6M2DPx"
    "/6+hfIs8ElHHgzqXIb7j+q0qFGXEf4DIfkRwj77ZN7wUdsoAtI99VHXf4eJ5rpp6U7ftKd"
    "LvuIKn1QX2fS/Oolb+OLRZ/EKueY+4F+/0B9Ep+6SRUR9cXzHwImk4/wHj6p/6Aj1GVS/i"
    "P9eFxOv3qQhITGvjxg5QeltTpEXRkOE1b0Cx1Eb6gjklInHjxKe/3iO33VaMw96uoWX72I"
    "u+SudvsJ4gpvwnyivikBV1PkgKQjEkRDEucoBQZ8NhP38bvqd4zuoS7dHj0PQ+Z3pEYn64"
    "Odf2qJ6YSut/3koekibDNvCzCcu0/tWW21KrAVxyqFkGvLaZvFoNWyeCB1VddZHomqVYtU"
    "q8JSn0iztiNcgKJvtM3jnCgktoOcxeEIt22EW2Mk+aJUlrMZ5W7PaCVZ3u7Xm0m06sOgpY"
    "WhJHE0K72Z0dEUCof62oahVe2MHQC80hBxSv0HcsfgfzZP/dQsING0NFtLtvGQNZT3So9X"
    "zcnhTXu8WnQA/tVhE2FStaoUJvU9VOW3LFu2ZsE6YT4fTc2rVXzvkaWKLls9tkpVE7th81"
    "2l69U4BQ1O1/gb3N5v/UacrtVfcchabqxxVr2sZiAdNC4dHh83cdgdH1c77OBeQUtXXyub"
    "jStq3kF2XzZN21KXtaUcXO5JZkqBVxddnkIwAYNlIPmTbmnf/x+pyHDR"
)
