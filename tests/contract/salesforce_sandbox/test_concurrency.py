"""Many clients at once."""

from concurrent.futures import ThreadPoolExecutor

from tests.sandboxes import Client, Sandbox


def test_parallel_writers_and_readers_lose_nothing(sandbox: Sandbox, client: Client) -> None:
    def work(number: int) -> list[str]:
        own = Client(sandbox)
        made = []
        for turn in range(10):
            answer = own.send("POST", "/sobjects/Contact", json={"LastName": "Crowd", "ERP_Id__c": f"W{number}-{turn}"})
            assert answer.status_code == 201, answer.text
            made.append(answer.json()["id"])
            assert own.query("SELECT COUNT() FROM Contact WHERE LastName = 'Crowd'")["totalSize"] >= turn + 1
        own.close()
        return made

    with ThreadPoolExecutor(6) as pool:
        made = [record_id for ids in pool.map(work, range(6)) for record_id in ids]
    assert len(set(made)) == 60
    assert client.query("SELECT COUNT() FROM Contact WHERE LastName = 'Crowd'")["totalSize"] == 60


def test_parallel_upserts_of_one_key_create_one_record(sandbox: Sandbox, client: Client) -> None:
    def put(turn: int) -> bool:
        own = Client(sandbox)
        answer = own.send("PATCH", "/sobjects/Contact/ERP_Id__c/RACE", json={"LastName": f"Race {turn}"})
        own.close()
        created: bool = answer.json()["created"]
        return created

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(put, range(12))) == 1
    assert client.query("SELECT COUNT() FROM Contact WHERE ERP_Id__c = 'RACE'")["totalSize"] == 1
