"""Decisions of the limiter without CHECKs: they took a quarter of a decision's time.

PostgreSQL reads and plans each CHECK anew for every statement that writes. On one row, that is 4 to
7 us for each, of 75. The values are computed by the limiter's own statements, from validated input.
"""

from tortoise import BaseDBAsyncClient

from digitwin.kernel.migrations.steps import in_one_transaction

RUN_IN_TRANSACTION = True

CHECKS = """
ALTER TABLE rate_limits
    DROP CONSTRAINT IF EXISTS ck_rate_limits__window,
    DROP CONSTRAINT IF EXISTS ck_rate_limits__limit,
    DROP CONSTRAINT IF EXISTS ck_rate_limits__tokens
"""

STEPS = [CHECKS, "UPDATE digitwin_schema SET version = 4"]

# What the way back loses, besides what is in the tables and columns that it drops: name and query
LOSES: dict[str, str] = {}


async def upgrade(db: BaseDBAsyncClient) -> str:
    return in_one_transaction(STEPS)


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '50ms';

ALTER TABLE rate_limits
    ADD CONSTRAINT ck_rate_limits__window CHECK (window_ms BETWEEN 1 AND 31622400000),
    ADD CONSTRAINT ck_rate_limits__limit CHECK (max_tokens > 0 AND max_tokens < 'Infinity'),
    ADD CONSTRAINT ck_rate_limits__tokens CHECK (tokens >= 0 AND tokens < 'Infinity');

UPDATE digitwin_schema SET version = 3;
"""


MODELS_STATE = (
    "eJztXflz2ziW/ldQ+qXTVZpsfCWeZGur7MTd7W3n2NjpniNTEkRCElYUoSZAK57e/O+LBx"
    "7ibVKWZIp+UzXphMQDqQ8g8L534c+ezSdcLbn7/MxTfEwt9Y45THHh9l6TP3sunTP9l4pW"
    "fdKji0WyDVxSdOQYQRq2H9ihgDQSI6k8fVW3GFNHMn3JZtLy+CJ8cu+M3ApuMSI83UL/N+"
    "qHqCmFPxiRzLuFFlwSqbjjECWIeQh7Q7iShNq2x6Q09xl1mP0cnmwLSz+au5NtPsR3+R8+"
    "GygxYboTTz/qn//Sl7lrs29MRv9czAZjzhw7BTS3oQNzfaDuFubaly+X734yLeEHjAaWcP"
    "y5u2q9uFNT4cbNfZ/bz0EG7k2YyzyqmJ2A2vUdJxyf6FLwxvqC8nwWv6q9umCzMfUdGLDe"
    "f45914JxIuZJ8Mfxf4Wvlmg2GHz4eDO4vrgZDHq58YVXyIxGeMnSU0TPDe4qAOrP70G/K0"
    "DM1R484O0vZ5+fHb380UAgpJp45qaBq/fdCFJFA1ED+gplDYn0PTZohnZa6gGoh5jGoEdN"
    "VqivvooIzwixlmG8wnSm3z6P5tsp9YrRjNpncNQvts68fWQIe3P6beAwd6Km+p8HLysg/e"
    "3ss0H1IEBV6HUwWCo/hHcOza00uOE6k8f3hn1TxfgmRDoBcQWkNxd/u4Ge51L+4SShfPb+"
    "7G8G5fldeOfq44efo+YJ6N9efTzPQq4Umy9UAeaXbhnkCZEM5vpXbAvzF9ua0xN4g78cHh"
    "y/Oj49enl8qpuYt4yvvKoYk8sPNxlAbb0lUpWH853GQ/E5K8Z0JZVB1A7Fnkd/2emc/iCW"
    "z37c0my+fH9xfXP2/lNqSr87u7mAO4ep6RxdfZZdTOJOyO+XN78Q+Cf5x8cPF9mFPG5384"
    "8evBP1lRi4YjnQy0cCjehydCk1sMzzhNdk6Y8F1lqYWrZ7ppf+wxcvaqz9ulXp4m/upb8c"
    "y2MAxxpfT1oSv6AWfUFAAcazhHoKF0bUmi2pZw9yd8ShKGubvzU/nGevUJdOzPAAmga7mN"
    "L5Nldvp8yaLQRsU8W8L9Oofw/tg+YDK25fk/X9DrxrSSXx2FzcMps4dDnW73vXJ1KsWJlG"
    "XoV87JZ5XP9S+VpftIRnSyIcm3nQ1s3xvc12/9UdDsOOBiM2Fh4bDvuEunbIHPVPJP4CGO"
    "NwCP8aDsmSqymhQCOnjHvEYfSWyYdSRtefj1jB+nvOJ6WaykpmM3rK/bRxmytwoKj89fDw"
    "6OjV4Yujl6cnx69enZy+iDWW/K0q1eX88mfQXlKrQaTOlHPKTi7S21fd92GpTu7F6S++6V"
    "DnpXG4Wz3csHA3W1ojid0RwI4srWnQB1NGC+xJ59yl3l058rFYBv7RnWJyDwegCkuwWSQ/"
    "I00hzi8/nH3+e7HZI2qf/ETO/35zcZZBP9R0ms36hBBO/LUnfvM5j9P9odN9xu4K/QAVlu"
    "tYAu0XtewX1JkIT1OfeROUU0KdsGCnkT46rAH00WEpznArs23yiUuVX6SVVm6bSbE115GW"
    "zekdLSPtMuFcMTrulRtvzO1+HbNNYJZoYLGhxtpBpsIBA8mYCJeF9pLXRD+HSSUThhHqKG"
    "ksIcJXZDnl1pS4IGFRl4wYmfhMyiJv/XYf9QADTPD8hs7klBB68Jt68JGXPYJ6unCoVbC5"
    "lEIet+8S5hvzh6LBcJ01Y+8sSPqnKeYWjHGVTpYQQmbXRCVLIu+EGk992CMJxHxdzC0xn3"
    "M1Z25R4Ez1jE8J4gisOwJG6W3IACMRRL0J6i2jf2LSq2B/+m6/FvkTk5rU71rM2UjYd5p3"
    "2UTqf6ipHpQ3ZDj0JfM0sxkOIS56ORVzwhXRY2Qxz9X0bDjU/Yqwhb5tOuAqz/g2/oSv7l"
    "f3RhNDoBUjKoE6jnVXkrBb5t2RL59AYwj447uLq4ubC/Deg79+5AehAf5ixtjiSQV5x/No"
    "prFlznNuS8MYX+0ZYwynTBPkEyKbhL/O6th7Ef7vLwV/RP9r4wAkrL5WlCBS2+QbS3TQ3n"
    "tQy7J+UGFZP8hb1jX6wveKSHk5ykkZxLkZzg09RRkxdBfVcxeFe3eTpTopg5k5uckLb9Vs"
    "3oYSu1sgetK3rDBhZR9TdPhiUJqlU450Wqp7C8TxSQ2cj09KcYZbaZyNUqaZUJFJrRzntF"
    "T3cNZ7Vs1tr3Lfy63FmnNRUKnzWP/39ccPxVgnZbLGaW4p8n/E4XJrHoAEdRn53FHclc/h"
    "sY9BVwCjlLUhl5iWzUHLrObQQTYxrZN+A8wGaZMt6Rp8peXGpOvQlXq/NclkQdQzJ52REV"
    "XWFJz6Ua7Fcioki9z6hHqMjIQPvv3Q5hJYaqJrcdoFCaKri/L9N/2IryYLZCo8/m+h//Ja"
    "90cV2KTgI7LDVmCbgl4sMWeScJdQ4ujbXtAT5KPoNYp5IEDH+joMo3xu0kt819XvDh3Dkz"
    "WCrgxIsgzSVZZMdy8WzO2HvyT6XfBL4ooF8GDMMtkjlztmmTzBLSAVCBysKE3HOCG2gQFu"
    "mcLbpfF12ZLJxp/wSgpHt82jG27b+eEtr9aREOmETXbX1TpKk1aeWsbKxsLTPCEaBi1FEh"
    "hFkJ3DdWM3Fh675cJvGL6RlELs18Uec692jznmXmHuFeZeYe7VPgffvaXWlF26t9Thmn2V"
    "Fk7NN+tXG1AtEBjwhETtlCwGJkaphKfvUrJgnhTuD5IsqKfA9slVH0qeUqLoBMyRPCiK41"
    "CpCNSv48XZVxvoNTCXsoWwpkHonu3RpUvGnpiHplU9hV2LkeEw+Pmm6UBfHg4fbMCk80Zh"
    "MlH7zSx/j2u6TC1+Jwd1Vj/dqnT5M/fuyc9ShdVRyuGOBTq43Ww+2ACLrcbgntbA9rQU2t"
    "MssmbFaebmiEW6ZEfYcWphJ/0a6NRuk472RVIztcuUs+B+La3Mj5veq439YsrEuzaZcwmZ"
    "BlpTCrUoUJIgGX0qfC+vbzWQe4BSNPKtGWv8ya2ktvG5PaqqtO+fHOpkj6aTTXlx3l254h"
    "BJdKZW+I6VhmBpbIb5SgZRr496u3Zy+2I+YrYdQFO2nSca3bOns6jhwOzu9fb1M3LLIOeg"
    "T6g0tgtjrgsMIZKMHUHV0SEJIqBk4dEzDcUfsMvP2F1DGzsaPtY1fGCa4a7TDH2bg82wkX"
    "8jIbPDDBexdINwyL2ziig6KdhnzzyPljg2IoEMursO/IfnPUbgPwSt/PNfOR/Rv9kg9urU"
    "DFNJC3XJwoSFlNB2VC+ejn1bcN3dGgOclmzVAKO9IjvMUlGHDXxX8YLSftXjnBHF8Ng2j/"
    "MtdfyGcRKxCMZa9fc2SML+zORC41BlhF+16VeTdseZD7ywbRPeHlaRdag78fXbkrmwmUOo"
    "KyGVyg7SvaZiqZm4Ym6YZKUpuuZoNqETPYClhWkf2CXye+T3yO+R3yO/R36P/B75/RMiBM"
    "jvn8QwI79/GuNcwu/LCwaVsfsdVAt6nCHdSl2gKZy4K/ziUvOVQSgrMYyJ2NuYiGtGPWva"
    "qzCthC361YaVIC4BKvfoxmtYVgJBMoaSOVWH+KQbofUDrR9o/UDrB1o/0PqB1g+0fjwhuo"
    "TWjycxzGj9eBrjjNaPnVk/2sPAIQrBVb1i8h3e7N+TWRg0q1nk4aPLCNV4MDgxLUgODCoy"
    "QL1XyA5c+J6GjL2BOgxcEhdOOCLWlLoTCEkQrnNHmJ4ZBRR9c10H5R7g/F1T50HvU9GBTS"
    "yuDxHfNdUjlkGVCZctzZOUEDOTEGFOEsVjl/bw2KVwsjThrwkRTDyskXjIbrldbCMo33SS"
    "MrjvPMDqPvGoux49S0u2SntHetZKeoZa+9ZGOamkNB3nrCyOdJtHer9cGI8zqPfoeznelU"
    "Y3D+1PwmN84v7KAnv6pX4PWqZ8hGrvl7Cj/QR1dTXxAnqJiFlJck7pn28zh6lALT67fnv2"
    "7qL3/RG5rOZz0lQcvGZSllc0LGjYv5fjxiIDGcg0ILxJcUMcodogvAq5NEx0ym2t1GoSyR"
    "1maKNxSZk6gwbfErK7mW6RmO4XMYUhLzyfttRZlZDYnafqYEugopsKeVAzvWlhrznAaUkc"
    "4JYOMPum9IpOnYYV2TNiWJa9Vll2rQCronMeqoqxRRI7jOmBw+Zu2bY29q0bRl17oDcX2e"
    "wU+rRU9+bzy+MaOL88LsUZbmXip3zPLQs9LtWm0kKdCTzemEKlv3dvvf02LYn7bVv3W/CR"
    "rmNWTsihqbHNI4yHZ7fOXRdabNb47NKS+OG1+cMzYwU2xmaWtYzYA0xs+zO2DXIRxtRiA1"
    "PcpCGuOUFENnPun1bYuMUX1FUNoc1LIrZpbNHft1E4bwVfcxXIS+JURV/qTnypJWvtRsAN"
    "XZ+f0t3u5fS9H+n8dpMCXL8H+fDl6qpXtmRsBPHfoL/3UXcdRTq/WtZAeqVobQTon2j3cc"
    "7ppiUwl4djpO2gRcdRhGI//fqZOfHZj2WgJ8MqbnSHHVm4YX58313kikHu3rCVCN/aMSvx"
    "CNcLWGHfgrSI12QJdQ/gnIfECkok5WF5yPg2PD4uHVkcrvLQTiErIx3YAiEvENcSRuRgOA"
    "uGs2xr1cFwFvS+tMJEiOEsXR9gtPts1EQpJFfNNpikCJb2KNhkzHxT7FvBEnSjr1ZM0kio"
    "C9Ep9xSaqXYBpkrhR82zfsFMtIrW9hqjnhJC1JujPmXA8JrCnpZC3JvjvieBhpaYL4x/fV"
    "usa9uxhlR6g3mT0lcrgbX2xpZN601vjR7Tz2O31GkGalYMoc1DCyenjLkn1UCJGXObAVws"
    "jDAXw9wYWoSzDE6lZDM4VwIIZ9H6qn9Hwx0rJYOg5kENFkYovyqaIZsXRHgLlgChmuoDSR"
    "GENA8pdxd+uJU3gTUrhtDmoRW+WgvbnByCWzBvbTZfCMVc627QsP57gWgX7Aq7yFkM3MMN"
    "jeppKbSrV8f8yVUhjQeH75QU6NhPmO+P5ElPtHYVVbnwqPQ91iuMSIlu9qsDUVjQrGb4yV"
    "lUtHM5FabQJohDfc6ZK5YuGd0RSqZUTgl1hMveEFcoEhvh4lonECUCx5UKb5YPRtnOIzDw"
    "ZFsm0O0Enkh/9L/MKrDqV1iYVyJY4LOGbTnEawAf0xo4x3IdBHvzyezNCwY8sFhAuwE+qa"
    "VJnlRokid5TdKk/ReQovK02JUEJsVW+wjXSIodsYm/TuHLpBzGQbU0DirWuNaJZczIYtZz"
    "20Y6RyUfi+G8C3One4UUJ757D8eJMrBrk5xIgGj6QV3CbpmrXhtCEubrmyj4fniwgAmKv0"
    "tEx4+YpV8VDjngqojgbLL74DQEPd7C9yw2HJJnEMrVJ4lMnz5ZpaP0iX4XH85g+NF0uBLV"
    "DFdLU48FD9HM66sbvs6b8BKc3ACsa0Is6nmcSS1upLhrIv2Hw0Su+3D4POhdCc986rqdpH"
    "eSKOiLq68ukDtFZ/o3wnTp69ZjDiW/TNOwlaZ3BJ4IZ0FoqEaa8JnEApdx4HHBeQ/w7LHw"
    "zOEOGhV9Y65xOSOAxA/6FvS6Ah0eKYMEB0M0dQszAjL4bU+KLponwR/He8YPMQ53o3G40S"
    "LQjKCsZDpIUTZPuBMrbZN5mxHDufvY1LplyuYOmDU1hzc3m7ZJGSzJ0Np6UUiPt0GPE2pv"
    "0xHOiCI5bvM4R4Sl6SAn5XCE2zbCrTF/rEplFNo/UpU0qgwgK/5f2wRihpPZxnQQHNcI/K"
    "nImlHR8qnQ6K54XTHdv4fp/qjmYbo/DnDriBrqeFjY9/HHtoGRw/w3B2e5VS5q30Fb8lYC"
    "pxeegOOWC4p5VhyCnZDpnu3zoBbMBxUwHxTYPj3FNbVRA9/jeajLiwxk5boA967LDFhTZs"
    "2kP2+Ce1IGMe9saYcFc22AbTcLy8Z9gX/41OHqbiAt4RXskj85gpbM75xkBvQxiHZqmr/7"
    "+OX86oJ8+nzx9vL6MoxUjBVIcxMu6Qs8SMz4fHF2lU3tkoPVqWNprM+FcBh1SwxLSbkM0i"
    "MtuK35HV/ZLdTnHz9epVaU88vskvHl/fmFnuw/piHPGz/wmJrWReRi0AwW1m9BSt0DDinP"
    "pTRutDB2/XTGdm6euy6N/asrlg6zJ+xdGFPaK3RT5Zv1q91Vs0hgEAWr1ndbaV4QxI4Gp6"
    "2TOb0zmYOFnqvSxhBVewM1ruGVIN3QxJYGyyKZ608aolUlo541HdwyiHQZDiFel1tT8ilY"
    "Na7/58rkJfqKSTL2xJworhz21YWwWz1SygT9BpmKriAGdDJl0LUUwVu5Qk31y0J4qke0Wm"
    "fr1/DI0uPQZRhajC42dLGhiw1dbF21zaOLreMDjC62JzPK6GLbsIvNaJRNTLWxQAedbFvK"
    "KTeKeiMHxEqkEyjv3OkT4Beg1mBuZ+V26IwAIvkfC4cGPHZPHZ1hllGhm7PC+ZOS6oLDLe"
    "u6Pz6t5bs/Pq1w3sPN4lnetPpKVq4TS8y2q6/ccslHHNxmTaBOS+1wORFLN7AA76NnE/3H"
    "u0CZeZ5oFPkTC3Rxia4bXlUZX5WP/FGKzRdFFYXKj19IiOzOWPdiWzBv2FgH1fiaxautJD"
    "o5bTcfFOgwKrU25ipecFhvtTklI4r2lDbbUzC6AqMr2qrNY3TFnkZXbDda4LMG+4rPeUmU"
    "wOp2vzo6AAZt4EDL2lEBI9+aMfWaTMWS6De8I0EdfPC+T8HtThUZDlf+IvDlj+5MiShYL0"
    "d6XySWI6zCasUb7fsB3vw2VMy936O/j9pVuTNfc8iF4EXm4QoilpDpoPFmK1qtXgJsrR8V"
    "HdJyzielbCwl1qWzYv96eHh09OrwxdHL05PjV69OTl/E1Cx/q4qjnV/+DDQtNRIFobx6gM"
    "tOHKmIVE+LrRmm3rYR2HKc+howI8TNIKaOI5asQE+vTARISO0wDSDaP/c2CwDDdzpoiGhN"
    "fZyYM3yR1OyMVbwiaFObXAz8uP29DOMXrfuLsWKuCRMO1WpzeEm4bJhauzZzOTOEAFpFei"
    "AUz4V/T4VfUF5noz0ju2ihlovs4rHZRcDgm+5PK6lW7U1oKs+aysv1vQrqWK7u7a8fb8es"
    "MdiUmsG+kkHU66PeGn0sTKD7BLUvLL6gZRlhBe3u0csWq6Y1rb7XYs5Gwr4z5yoo6swkUS"
    "I4IgDCa36QJuXrjbHESjhPYaYnidGmPDaGpKz4hpbJK2ab7R7yzS5NKtiU2/ojCM+xM1lg"
    "pj+4Fca7Y9rXHqZ9oXNwo4Hv8DE1UYuj9h1UibdxTsG4CbZhcwzQqUU2dloV7enBC09rdg"
    "bgSqIdMTHwvM7ExGB6bsfJNdr3OzjADfgkFmSpHa21g4IsJratkHFHUW9VHBsIR01y/ftU"
    "mKIkmpvKsHhKniKXNULuul/cFUuW9LBkCW6ZqBPhAGPJkic2yliyZMOWWzanRalpFRENkU"
    "AHbbdHh3VMYLpVqQnM3MNzF3Z67oI5NTwowt3c3FgsjabHjZseJVP6R00aDU5Sph1D0qkM"
    "SemP4vccKN4sFbxQeIcFI8YeY9saiG149NYy4sF7ReV2H2jEk2wvM2xKLXfpteUxbZ17CV"
    "nmCNKHoJY69rSLWKWqXj8EqcLK211E7FbwjU2v36Cvzs2v7TseLgxRK/U+XEQ87j4XxMAw"
    "vpqOCCjSrjm9Vjr0mgynD0NYncNvNUavzd9n7E7/ny0kYdSaQrDdDzIMqQvGLO+32FCfD3"
    "BzhE9voh4lRDqXbbFBmowRerss3/FYcciJJbxwPUov8VULUnZjaXJ0upGtd3Z6UVN0k6Kb"
    "FN2k6Cbtqn8F3aQdH2B0kz6ZUUY3KR6evkFVAg9Pf4Q8Ijw8/fEWfTw8vRuYY/H7goUFD0"
    "/f84ppeHg6Hp7+5INX0D+A5b1367eNXgAPT++iy/yMedya9gr9U+G9frVviq5a3eeVKgdj"
    "w16mUl9H4TJY4OYIJ0d7PdMbcXOs4UWqOKes1I3UCfPPyUkd88/JSbn5B+5l7BL6s2qAcN"
    "i8g+huxepTemhqufJafmjqDnTXx1GWNqalPmrYxff/B3Yi5OA="
)
