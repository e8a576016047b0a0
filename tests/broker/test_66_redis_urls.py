"""A Redis URL is read as redis-py reads it: the table that our reading is held to (tests/unit/broker/test_redis_url.c) is held
to redis-py here. Where the two differ, the table says why.
"""
import pytest
from house import ROOT
from redis.connection import parse_url

LINES = [line.split("\t") for line in (ROOT / "tests/unit/broker/redis_urls.txt").read_text(encoding="utf-8").splitlines()
         if line and not line.startswith("#")]
READ = [line for line in LINES if len(line) > 1]


@pytest.mark.parametrize("url,path,host,port,user,password,database,note", READ, ids=[line[0] for line in READ])
def test_the_table_is_what_redis_py_reads(url, path, host, port, user, password, database, note):
    try:
        theirs = parse_url(url)
    except ValueError:
        theirs = None
    ours = {"path": path} if path else {"host": host, "port": int(port)}
    ours.update(username=user, password=password, db=int(database))
    if theirs is not None:
        theirs.pop("connection_class", None)
        standard = {"username": "", "password": "", "db": 0, **({} if path else {"host": "127.0.0.1", "port": 6379})}
        theirs = {**standard, **theirs}
    assert (theirs == ours) == (note == "same"), f"redis-py reads {theirs}"


def test_the_differences_are_few():
    assert len([line for line in READ if line[-1] != "same"]) <= 3 and len(READ) > 40
