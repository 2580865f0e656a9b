"""What safety needs: deletions as events, row security, sealed audit, erasure, keys, consents.

Safe on a filled database: nothing here rewrites a table, and no release before is shut out.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

-- First of all: here a second one that migrates meets the first
UPDATE digitwin_schema SET version = 2;


-- Guards: participants are a person's data too ----------------------------------------------

CREATE TRIGGER participants_guard BEFORE DELETE ON participants
    FOR EACH ROW EXECUTE FUNCTION digitwin_guard();
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

DROP TRIGGER participants_guard ON participants;
UPDATE digitwin_schema SET version = 1;
"""


MODELS_STATE = (
    "eJztXXtz2zYS/yoY/dN0xpez5WfTm5uxE6X11bFzttz0kQ4FkZCIE0WoBGjF18t3PwCkKD"
    "5AmrQpmqKRmSQ2gYWg34KLfWHxV8/CU8yW2H196luYXZBp7w34q+fCOeI/KFp3QA8uFvE2"
    "8YjBsSMJoOhnOGRKZc8xZR40GW+ZQIci/shC1PTwgmHiiv43ZI7GxLoHFrYA5b8wG7vT78"
    "Fo5FPkGdgajQCmYGmTOcAMmMQ1kefSHd6Bj0vCHrxZDoDZa/GxFjH55/JxNvIJn93P7tBG"
    "wIL8W0OKgIcmfCgK0B3y7sHtx3enw8EOgK4F3g0uBsMBYARAxwFjnwHGCf3FDKGFnKnv4j"
    "99ZDAy5dNCHp/v73/wx9i10BdEV78uZsYEI8dKsAZbYgD53GD3C/ns9vb83XvZU6AwNkzi"
    "+HN33Xtxz2ziRt19H1uvBY1omyIXeZAhK8Ys13eckLOrR8GM+QPm+SiaqrV+YKEJ9B3B8t"
    "4/Jr5rCk6DaB3NOLbIeY0t+lp8+vE/w5nGqAzj8mpo3AyGhtHLLBgxoxSHw0eccWKxYZcJ"
    "3P76Goy7xkc+7YkPePvj6fWr/aNvJSKEsqknGyV6va+SkLM2IJU8WIMeLpkqyMdI6oR/9W"
    "CN//oNi6DcDf/8TfHP6k8bGbAGHMr1k8X7rQ09Nd5rihTcfHKbAnoFygZg7M3hF8NB7pTZ"
    "/Ne93d0CXH8+vZbQ8l4SW8JlbyCWL8OmftCWxJijT3zPRFVQjtNonKvhrBQgD0OtFiLl0A"
    "5lczvB7pcCu18Adj8L9mrvriKq4zRPkNUtA7seQcxbxKyqrduQojkB0aO+aSJKN7WppaTE"
    "URkhcZQvI47SqxYvDGhZXvgNyiKdpOqegDg4LIHzwWEuzqIpibNUyiDHpNKKTlJ1D2e+Z5"
    "Xc9gr3vYws5jYXFCp1Fut/3VxdqrGO06SQtrDJwP+AgynbmBxZmy5jHzsMu/S1+NjnMFcE"
    "RmLkOaV/OnGwX304/SXNh7cXV2dpaS4GOEuxxPSQgMyAihfgHW9heI7UjElSplkTkr5e/d"
    "CoJnhJlq++3QwThucfBjfD0w8fE5wQlr5o6cun96mnr9KSPxoEfDof/gjEr+C3q8tBmmFR"
    "v+FvPTEn6DNiuGQppHwMjdXj1aOvwlcwmcUMV/FgDM3ZEnqWkWkhfZLXN9s078/TT6DLZa"
    "EVoimxW1n5b6Fpo3P3DjqYL4SACwqnUrbbTrF3yRQEBo5RlHQzfbKRCyCgXL/jrRAskEeJ"
    "+w0FC+gxQCYAsx1APN7C4BRgV3iClpACB1IG0JyPg6ysa6mWUYU7aTRCC2LagSfK8uDSBR"
    "OPzKW3iCL+VrgmAqNR8PVlV4M/Ho2e6kOS/1fYAFf961HoHvYgNbbzHe71S2x8vFfuvifb"
    "ip1Hcp1UgTsi6KKFXbvuPOPfqwq6q/4dBPekBLYnudCepJGVEicL7RmenrtMDW5EkkIXux"
    "vT2TaJ7lRM4m/f9fv7+8f93f2jk8OD4+PDk90T3lfOONt0XMCDs/Mfzi+HSfzFA62jaR2t"
    "UR3tlkK5tPOUs6C9lFbmR10f1MZ+xIzK+NgcUxE445pSqEUJJYm4CNjE97L6VgW6JyhFY9"
    "+cocqv3JpqE6/bs6pK2/7KaZ3s2XQym7+x1RSHFUVzesNup5SGQDRWw3xNo1Evj3q7dnJr"
    "MB8jywqgydvOY50e2NPRqqMhd/dy+/opuEMihLYDIJW+i/E9C7ZpsXFPHALZfp/Pn4/t0e"
    "z2Xp38Cbv8DN1XMhaD7trx8RjHh86aaTprxrew8BlWWeFxmgYDtmTJB20mXFuzV4TBqWKf"
    "PfU8eK9GeEWQQrfpOJb4vOeIYw0Hvwx//yMFIsX/RYaU81koc/WVJFGXPEz9vYPjg5P9o4"
    "NIW4meFCkp2nf05MW5HYZszCf7ZYH5cI9gcJKyVQzW/oo0m++g4yu28TPsQi9nm4lIUqyN"
    "BGZ32HkWZjtEnOS79dn55en1r1FuRMTOi6vLH84U2RFnvw4Hp+0z564RXXAcipyz6z47xc"
    "ac48wNL+xbxZ77ZEMGIHCgO/X5bMGcWMgB0KVL5CErOOJgkyW30BhyucUGg/A2190tAKec"
    "gaqQeR1DartP233a7tN2n7b7tN2n7T5t970gg0DbfS+CzTl2X36+fJ7V10Cy/POwdCNp8T"
    "ZmHFNfdSzkgaD1mkzHULc2hnqDoGfavQKTO+yxU2xwB3FMg8rOj7C4A0Iw4UtKmXau7qSt"
    "Ym0Va6tYW8XaKtZWsbaKtVX8gswlbRW/CDZrq7gxq7g9lhlx75BH5WnfG0Rp/mliRcedB0"
    "6uxEi4tSZpSp4ovnIRiJODJWa2OOkrpgLOmTjJa2PLQrzFxg6SOaxSvZNnfJGDmOpIcX3D"
    "6tJybbRK8s1CwXJlqbNcxS9G0ZzWt6dVPq3ytUEX8BfWIxmcpNQMbimD0RfGJTp0KpbLS5"
    "F1r0rTRsrlUQaZX6no2JqiQf+YKO55h5pxkNV/GhK5lsE3F1qtoGmSqnvr+eigBM5HB7k4"
    "i6aUL9L33LwwXq42lSTqTBCvNoWKv+/e4/bbJKXeb9u633LwHsPeOF0NzG2ZrOoSh3Udxl"
    "a41uIsCT02j3jtkpT6xWvziyd5JXyM1TxrKTJdkjr57kygiQx5gKQirhlCjWwSWVG/Ept4"
    "AV1WEdospcZWUXp6a9J/Wg/nHcGPlAJZSr1UFXG/5MrNAvyeeAhP3Z9QkOdzzucB1YlTUa"
    "TmNhxoOxfs+mlsAh5cRoG0+PvKv36gqEnoT2/enr4b9PJkbS3ghqHPj8lht3L5Pox0drtJ"
    "AM7nAS5vLy56eSKjFsR/FuN9WA3XUaSz0rIE0mtFqxag38Pu45zRTXNgzk/HSPpBVaXgQr"
    "L3P10jJ6q7ngd6PK1iyAfsiOAW6+Nrc5krErkH01ZW+JbOWYk4XC5hBX0xbehO0RuwFGcI"
    "RI21mAQFFOLwCH7ULD4+Op6vTlepY1CdrPIMDi2drNKW2IpOVum4A1Anq3SdwdqrU6sDkl"
    "Csvvg1d4OJk+hDMIpNRq43hr4oRNCQPy1YpCuiLuSePHAkqzjAlygmtuqejvqlclG4tlcZ"
    "9QSRRr066jYS9ltV2JNUGvfquG9JGqFJ5gsZPd+U1bXpTEJIPWNe5ZDomuBRe2PLlnXdW6"
    "OH+OehO+hUAzVNpqHNQitqT06wR5nByAy51QBWE2uY1TBXhlbDmQcnY7QanGsCDadKvvLv"
    "UXHHStBoULOgBoJRFCoh1ZDNEmp4FSKAsKr6QJxEQ5qFFLsLP9zKq8CaJtPQZqElPnsUth"
    "k6Da5i3VpoviAMuea9UbFSmoK0C36FJk4kBnlMFZ3qSSrtVy/O6KPrMhlPTs7JKb+xnTA/"
    "nKeTXGjqNL/nKpmyzpNSZpwk0qiKUk3WuUglc0xOgQQNWUCQBvfzigiC6q6/gp46G2RTfk"
    "mdDbIF6obOBul6soDOBuk2g/WpzhfDZX2qs+bUH/l/Bs58C3vVv7nw8Xbb1QuP3GFLdZIr"
    "H+M4TffcF3ulYN4rgHkvC7PIgOemDTN8D1eBOk3XPbj7uwdlao+LbgXr+iBTgdy0kTmj/r"
    "wK2nGa7iG91y8DNO+Vv7D7GZi3JMVngVxLINUM0LUn+PzpQweze4OaxFNsh+8dAnNM6wxl"
    "CvSJIN2+lV0A8Lur27OLAfh4PXh7fnMeFmmJNEXZKB7xBzhw0F0PTi/SLn5qrGvLpY7LEe"
    "Ig6OZ4kOJ06Qt3OeGm1nf0pOELd6+uLhLq+dl5Oivw9sPZgC/2b5OQZ70cuhhR64oR6UMM"
    "unxCC0IrD5ZPKHP2OV7NPSXPH338uXxYq52bZ9MHoH9yydJB1hS9I6Y/R/JjFfGobLed4r"
    "jUbEVgWCFF+fgU+sKCa8WDmvpgDu+BGE8Zosrt/Nn97A7FSWYxJWBDCogs3C/EIpjzV3oH"
    "jEbh9W/BZXCj0Y6o2G/a4GMgNW7+fQFEHrrPEAUTj8wBw8xBn11xVJpzivGv9QZgWfHfJU"
    "CCDmwkhqYkmJVLmM0nCxBfoYCrdRafhgeWHhZDYqZjaTqWpmNpOpbWaSe8jqV1nME6lvZi"
    "uKxjaTXH0qRGWcVVGxF0MJp2WCrMc1gQ5jnMhnlCRT2Lcf4p4xhJJ1Bu+oxxiF+AWoW1na"
    "ZrMBghDMm/LxwY2LFbGtGkxPdMVDWemaTqXoxtY9HMcLXakNqPWeUruk6ImE1fGHOHKR5j"
    "ETarAnWSqpu3hNcf2dTx4yZQRp5HKqX4RARdFNFl86gKE6myKT6MofmCVSrDESPRV0ylnX"
    "VL4s2qJaatKTq5bOvP/nMQpFwbcxlWlGQudqekSLU/pc3+FJ1dobMr2qrN6+yKLc2u2Gy2"
    "wDUH+wLPcU6WwLp5pzg7QDDNcETP0lkBY9+cIfYG2GQJ+AzvQVAPQUTfbRF2hwyMRut4kY"
    "jlj+9lKXMhL8d8XwSmQ8yZKomg1rGfEM2n/vg/yFR4KgsMrzVJPZbXwxH9bdSu8oP53IZc"
    "EKxyDxde9xvRdNB5sxGtlosAi+tHqmI9Z3iaa40lyLpUM/i7fn9//7i/u390cnhwfHx4sh"
    "uZZtmmIhvt7PwHYaYlOKFI5eUMzqs8U5CpniR7ZJp62ziw4Tz1R8CsIa4GMXQcskQKPb3w"
    "IECMqsFjAKv9c2tPAej0nQ46IjJm2rObFLcUyp2xyK4I+pQ2Lgw/6v+ghfEj1/3JhCFXpg"
    "mHajVYQgpCsSHvR7KQi5E0CESvlR4IcEBlE19RR6fWkbV10UItV1sXz21dBBZ81f1pTdWq"
    "vUm7ytOu8nx9r8B0zFf3tjeO17DVGGxK1WBf02jUy6PeGn1McTexUidT32FcpJfFbpws6f"
    "W9IXM0JtY9WNoEMOjMKGBE6kMyveYbKo98fS89sZRPEMz4IpHalIcm4lBW1MBpsopZ/cPr"
    "k1zPEAl8wkkuHe+rNZddvB9VNN1V/w5qufWni3GZUwXbsLvOuSllPzRa0ezlwSs+TZWEl5"
    "/osqZoR5qL+LzOpLnoE7cdt5e1y76DDK5gIuoaK6UTsBqosSLT1ZRG9CqRrchsFgZHSXv5"
    "k01knRFuvtKwHkrW6s3rpG3X7bJddRWSnq5CordMrRNpBusqJC+My7oKSc2eWzSHqtNmBU"
    "kKK4IO+m73+2VcYLxXrgtMtuk7Exq9M4Ert8QN6mpXdzeqqbXrsXbXI0WMf6lpJebEadrB"
    "kk4deqT+OJqnwXC1091K4gZrQEw8hDbFiE1E9LbQide2zSTXi5e4eT15L+ZTUEvcxdlFrB"
    "IVmp+ClLJKdBcRuyO4tuX1sxirc+tr8x71gbRAct3qg5WB8pBv3ZCmTEkPuygozo1Vvpty"
    "mSyuxBUpYA6+4xi9kT/P0D3/ixYUIGjaIjHsGxqkk4GAZ1mHfE1jPsF/H356lX0/RtK5kw"
    "E12n869azJUhPPlTMbE+FKeZQU8UUCKb2xVLnPW9KWu9Bb1VXH/3T8T8f/dPyvq4EDHf/r"
    "OIN1/O/FcFnH//SN3jWqEvpG72c4IKNv9G52VesbvRta2PpG720KyOkbvfWN3mWRjp5sbS"
    "0vXXO6dekXOhCga043G6BdTUDf6N3F2Pgp8rBp95SBqLBtpzgIBde9Hgo/5YNRczgpN6ih"
    "FIOKeEa4ONobgq4lnvGIcFHB5Vm58aJO+HkOD8sYxIeH+fawaEs5IPhrVQHhsHsH0d2Iey"
    "f3Js985TX/Js8GdNfnUZZq01KfNb/i6/8B9Ua2SA=="
)
