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


-- Cache: how long an old value may be shown; which entries are the oldest, and how large ------

ALTER TABLE embedding_cache ADD COLUMN stale_until timestamptz;
ALTER TABLE vector_search_cache ADD COLUMN stale_until timestamptz;
ALTER TABLE llm_response_cache ADD COLUMN stale_until timestamptz;
CREATE INDEX ix_embedding_cache__created_at ON embedding_cache (created_at) INCLUDE (size_bytes);
CREATE INDEX ix_vector_search_cache__created_at ON vector_search_cache (created_at) INCLUDE (size_bytes);
CREATE INDEX ix_llm_response_cache__created_at ON llm_response_cache (created_at) INCLUDE (size_bytes);
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
SET LOCAL lock_timeout = '5s';

DROP TRIGGER participants_guard ON participants;
DROP INDEX ix_embedding_cache__created_at;
DROP INDEX ix_vector_search_cache__created_at;
DROP INDEX ix_llm_response_cache__created_at;
ALTER TABLE embedding_cache DROP COLUMN stale_until;
ALTER TABLE vector_search_cache DROP COLUMN stale_until;
ALTER TABLE llm_response_cache DROP COLUMN stale_until;
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
    "NIW4meFCkp2nf05MW5HYZszCf7ZYH5cI9gcJKyVQzW/oo0mymDDjJ8l2GnKp9TpDUwumXJ"
    "K13i8x10fIW6doZd6OWoExFJirPRxtid1/YszGqJOMm1srPzy9PrX6McmIidF1eXP5wpsm"
    "DOfh0OTttntl8juuA4FDnh1312io12x5kbXti3it3+yYYMQOBAd+rz2YI5sZADoEuXyENW"
    "cJTFJktuiTPkcsscBmkM3EazAJxyBqpSI+oYUtv32r7X9r2277V9r+17bd9r+/4FGQTavn"
    "8RbNb2/cvgc459n3/+Jc+6b+Dwy/OwdCPHXGzMOKa+6pjXA0koazKdE7G1ORE3CHqm3Stw"
    "rYQ9doodK0FegkFl50d4VgJCMOFLSnmMRN1Jez+090N7P7T3Q3s/tPdDez+09+MFmUva+/"
    "Ei2Ky9Hy+Dz9r70Zj3oz0WOHHvkEdllYYbRGl+FQhFx50HThzGSLhVLmlKVoK4chGIk4Ml"
    "Zrao0CCmAs6ZqMBgY8tCvMXGDpJnD6QaL2szIAcxVSmI+obVJUHbaH3mm/+C5coSlbkKfo"
    "yiOe1+T6v2WrVvgy7gL6xHMjhJqRncUgajL4xLdOhULHOaIutedb2NlDnlZhDzKxWLXFM0"
    "6AcVRZnvUDOO0PpPsSPXMvjmQqsVok5SdW89Hx2UwPnoIBdn0ZTyOfuemxeuzdWmkkSdCd"
    "bWplDx99173H6bpNT7bVv3Ww7eY9gbp9PuszZzWNfPbYVrLc6S0GPziNcuSalfvDa/eJJX"
    "wsdYzbOWItNXCSTfnQk0kSEPhFXENUOokU0iK+oOYxMvoMsqQpul1NgqrgzYmjSv1sN5R/"
    "AjpUCWUi9VRdwvuXKzAL8nHsJT9ycU5HOd83lAdYJcFKm5DQfazgW7fhqbgAeXUSAt/r7y"
    "rx8oahL605u3p+8GvTxZWwu4YejzY3LYrVy+DyOd3W4SgPN5gMvbi4tensioBfGfxXgfVs"
    "N1FOmstCyB9FrRqgXo97D7OGd00xyY89Mxkn5QVQnPkOz9T9fIie7LyAM9nlYx5AN2RHCL"
    "9fG1ucwVidyDaSsrfEvnrEQcLpewgr6YNnSn6A1YirMiojZmTIICCnFYUiNqFh8fldtQp6"
    "vUMahOVnkGh5ZOVmlLbEUnq3TcAaiTVbrOYO3VqdUBSShWX9idu8HESfRhJ8UmI9cbQ18U"
    "ImjInxYs0hVRF3JPHjh6VxzgSxQHXHVPR/1SuShc26uMeoJIo14ddRsJ+60q7EkqjXt13L"
    "ckjdAk84WMnm/K6tp0JiGknjGvchh4TfCovbFly7rurdFD/PPQHXSqgZom09BmoRW1ZCfY"
    "o8xgZIbcagCriTXMapgrQ6vhzIOTMVoNzjWBhlMlX/n3qLhjJWg0qFlQA8EoCtKQashmCT"
    "W8ChFAWFV9IE6iIc1Cit2FH27lVWBNk2los9ASnz0K2wydBlexbi00XxCGXPPeqFgRT0Ha"
    "Bb9CEycSgzymik71JJX2qxdn9NF1mYwnJ+fklN/YTpgfztNJLjR1mt9zlUxZ50kpM04SaV"
    "RFqSbrXKSSOSanQIKGLCBIg3vVRQRBdUdrQU+dDbIpv6TOBtkCdUNng3Q9WUBng3SbwfpU"
    "54vhsj7VWXPqj/w/A2e+hb3q31z4eLvt6oVH7rClOsmVj3Gcpnvui71SMO8VwLyXhVlkwH"
    "PThhm+h6tAnabrHtz93YMyNeZFt4J1fZCpNG/ayJxRf14F7ThN95De65cBmvfKX9j9DMxb"
    "kuKzQK4lkGoG6NoTfP70oYPZvUFN4im2w/cOgTmmdYYyBfpEkG7fyi4A+N3V7dnFAHy8Hr"
    "w9vzkPi7REmqJsFI/4Axw46K4HpxdpFz811rXlUsflCHEQdHM8SHG69AXanHBT6zt60vAF"
    "2ldXFwn1/Ow8nRV4++FswBf7t0nIs14OXYyodcWI9CEGXT6hBaGVB8snlDn7HK/mnpLnjz"
    "7+XD6s1c7Ns+kD0D+5ZOkga4reEdOfI/mxinhUtttOcVxqtiIwrJCifHwKfRFnkOVFefIY"
    "8hzeAzGeMkSV2/mz+9kdipPMYkrAhhQQWbhfiEUw56/0DhiNwmv+gkv/RqMdUbHftMHHQG"
    "rc/PsCiDx0nyEKJh6ZA4aZgz674qg05xTjX+sNwLLiv0uABB3YSAxNSTArlzCbTxYgvkIB"
    "V+ssPg0PLD0shsRMx9J0LE3H0nQsrdNOeB1L6ziDdSztxXBZx9JqjqVJjbKKqzYi6GA07b"
    "BUmOewIMxzmA3zhIp6FuP8U8Yxkk6g3PQZ4xC/ALUKaztN12AwQhiSf184MLBjtzSiSYnv"
    "mahqPDNJ1b0Y28aimeFqtSG1H7PKV3SdEDGbvjDmDlM8xiJsVgXqJFU3b4OvP7Kp48dNoI"
    "w8j1RK8YkIuiiiy+ZRFSZSZVN8GEPzBatUhiNGoq+YSjvrlsSbVUtMW1N0ctnWn/3nIEgf"
    "eVN6ilT7U9rsT9HZFTq7oq3avM6u2NLsis1mC1xzsC/wHOdkCaybd4qzAwTTDEf0LJ0VMP"
    "bNGWJvgE2WgM/wHgT1EET03RZhd8jAaLSOF4lY/vheljIX8nLM90VgOsScqZIIah37CdF8"
    "6o//g0yFp7LA8FqT1GN5PRzR30btKj+Yz23IBcEq93Dhdb8RTQedNxvRarkIsLh+pCrWc4"
    "anudZYgqxLNYO/6/f394/7u/tHJ4cHx8eHJ7uRaZZtKrLRzs5/EGZaghOKVF7O4LzKMwWZ"
    "6kmyR6apt40DG85TfwTMGuJqEEPHIUuk0NMLDwLEqBo8BrDaP7f2FIBO3+mgIyJjpj27SX"
    "FLodwZi+yKoE9p48Lwo/4PWhg/ct2fTBhyZZpwqFaDJaQgFBvyfiQLuRhJg0D0WumBAAdU"
    "NvEVdXRqHVlbFy3UcrV18dzWRWDBV92f1lSt2pu0qzztKs/X9wpMx3x1b3vjeA1bjcGmVA"
    "32NY1GvTzqrdHHFHcTK3Uy9R3GRXpZ7MbJkl7fGzJHY2Ldg6VNAIPOjAJGpD4k02u+ofLI"
    "1/fSE0v5BMGMLxKpTXloIg5lRQ2cJquY1T+8Psn1DJHAJ5zk0vG+WnPZxftRRdNd9e+gll"
    "t/uhiXOVWwDbvrnJtS9kOjFc1eHrzi01RJePmJLmuKdqS5iM/rTJqLPnHbcXtZu+w7yOAK"
    "JqKusVI6AauBGisyXU1pRK8S2YrMZmFwlLSXP9lE1hnh5isN66Fkrd68Ttp23S7bVVch6e"
    "kqJHrL1DqRZrCuQvLCuKyrkNTsuUVzqDptVpCksCLooO92v1/GBcZ75brAZJu+M6HROxO4"
    "ckvcoK52dXejmlq7Hmt3PVLE+JeaVmJOnKYdLOnUoUfqj6N5GgxXO92tJG6wBsTEQ2hTjN"
    "hERG8LnXht20xyvXiJm9eT92I+BbXEXZxdxCpRofkpSCmrRHcRsTuCa1teP4uxOre+Nu9R"
    "H0gLJNetPlgZKA/51g1pypT0sIuC4txY5bspl8niSlyRAubgO47RG/nzDN3zv2hBAYKmLR"
    "LDvqFBOhkIeJZ1yNc05hP89+GnV9n3YySdOxlQo/2nU8+aLDXxXDmzMRGulEdJEV8kkNIb"
    "S5X7vCVtuQu9VV11/E/H/3T8T8f/uho40PG/jjNYx/9eDJd1/E/f6F2jKqFv9H6GAzL6Ru"
    "9mV7W+0buhha1v9N6mgJy+0Vvf6F0W6ejJ1tby0jWnW5d+oQMBuuZ0swHa1QT0jd5djI2f"
    "Ig+bdk8ZiArbdoqDUHDd66HwUz4YNYeTcoMaSjGoiGeEi6O9Ieha4hmPCBcVXJ6VGy/qhJ"
    "/n8LCMQXx4mG8Pi7aUA4K/VhUQDrt3EN2NuHdyb/LMV17zb/JsQHd9HmWpNi31WfMrvv4f"
    "jxWJ5Q=="
)
