"""Accounts, teams and tokens, held against both databases."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from broker.errors import NotFoundError, UsageError
from broker.store import passwords, people, tables, teams, tokens
from broker.store.engine import Store, connection, transaction

PASSWORD = "a sky full of stars"  # of nobody


class TestAccounts:
    def test_come_back_as_they_were_made(self, store: Store) -> None:
        people.add(store, "hypatia", email="h@example.org", display="Hypatia", admin=True, password=PASSWORD)
        people.add(store, "robot-1")
        teams.add(store, "moon", manager="hypatia")
        first, second = people.users(store)
        assert (first.name, first.email, first.display) == ("hypatia", "h@example.org", "Hypatia")
        assert (first.admin, first.disabled, first.has_password, first.teams) == (True, False, True, {"moon": "manager"})
        assert (second.name, second.admin, second.has_password, second.teams) == ("robot-1", False, False, {})
        assert people.get(store, "hypatia") == first

    @pytest.mark.parametrize("name", ["", "Hypatia", "a b", "-a", "ü", "a" * 65, "a\n", "local", "anonymous", "a/b"])
    def test_names_that_cannot_be(self, store: Store, name: str) -> None:
        with pytest.raises(UsageError):
            people.add(store, name)
        assert people.users(store) == []

    def test_a_name_is_of_one(self, store: Store) -> None:
        people.add(store, "hypatia")
        with pytest.raises(UsageError, match="already"):
            people.add(store, "hypatia")

    def test_a_subject_is_of_one(self, store: Store) -> None:
        people.add(store, "hypatia", oidc_subject="https://id.example.org 7")
        with pytest.raises(UsageError, match="is account 'hypatia' already"):
            people.add(store, "theon", oidc_subject="https://id.example.org 7")
        found = people.by_subject(store, "https://id.example.org 7")
        assert found is not None
        assert found.name == "hypatia"
        assert people.by_subject(store, "https://id.example.org 8") is None

    def test_made_by_two_at_once_there_is_one(self, store: Store) -> None:
        refused: list[UsageError] = []

        def make() -> None:
            try:
                people.add(store, "hypatia")
            except UsageError as error:
                refused.append(error)

        threads = [threading.Thread(target=make) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [user.name for user in people.users(store)] == ["hypatia"]
        assert len(refused) == 5

    def test_free_names(self, store: Store) -> None:
        for name in ("hypatia", "hypatia-2", "hypatia_x"):
            people.add(store, name)
        assert people.free_name(store, "Hypatia") == "hypatia-3"
        assert people.free_name(store, "Ὑπατία") == "user"
        assert people.free_name(store, "local") == "local-2"
        assert people.free_name(store, "x" * 100) == "x" * 48

    def test_a_password_logs_in_and_nothing_else_does(self, store: Store) -> None:
        people.add(store, "hypatia", password=PASSWORD)
        people.add(store, "robot")
        found = people.log_in(store, "hypatia", PASSWORD)
        assert found is not None
        assert found.name == "hypatia"
        for name, password in (
            ("hypatia", PASSWORD + "!"),
            ("hypatia", ""),
            ("robot", ""),
            ("robot", PASSWORD),
            ("nobody-here", PASSWORD),
            ("a\0b", PASSWORD),
            ("hypatia", "x" * 10_000),
        ):
            assert people.log_in(store, name, password) is None
        people.set_disabled(store, "hypatia", True)
        assert people.log_in(store, "hypatia", PASSWORD) is None
        people.set_disabled(store, "hypatia", False)
        assert people.log_in(store, "hypatia", PASSWORD) is not None
        people.set_password(store, "hypatia", "another password")
        assert people.log_in(store, "hypatia", PASSWORD) is None

    @pytest.mark.parametrize("name", ["hypatia", "disabled", "robot", "nobody-here", "NOBODY", "\0"])
    def test_whoever_is_asked_for_the_same_work_is_done(self, store: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        people.add(store, "hypatia", password=PASSWORD)
        people.add(store, "disabled", password=PASSWORD)
        people.set_disabled(store, "disabled", True)
        people.add(store, "robot")
        work: list[tuple[int, int, int]] = []
        scrypt = hashlib.scrypt

        def counted(text: bytes, *, n: int, r: int, p: int, salt: bytes, maxmem: int, dklen: int) -> bytes:
            work.append((n, r, p))
            return scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=maxmem, dklen=dklen)

        monkeypatch.setattr(passwords.hashlib, "scrypt", counted)
        assert people.log_in(store, name, "not the password") is None
        assert work == [(1 << 14, 8, 5)]

    def test_an_old_hash_is_made_anew_when_its_password_comes(self, store: Store) -> None:
        people.add(store, "hypatia")
        old = hashlib.scrypt(PASSWORD.encode(), salt=b"salt", n=1024, r=8, p=1, dklen=32)
        kept = passwords._written(1024, 8, 1, b"salt", old)
        with transaction(store) as conn:
            conn.execute(update(tables.users).values(password=kept))
        assert passwords.is_stale(kept)
        assert people.log_in(store, "hypatia", "not this") is None
        assert people.log_in(store, "hypatia", PASSWORD) is not None
        with connection(store) as conn:
            now = conn.execute(select(tables.users.c.password)).scalar_one()
        assert not passwords.is_stale(now)
        assert people.log_in(store, "hypatia", PASSWORD) is not None

    def test_the_password_itself_is_nowhere(self, store: Store) -> None:
        people.add(store, "one", password=PASSWORD)
        people.add(store, "two", password=PASSWORD)
        with connection(store) as conn:
            one, two = conn.execute(select(tables.users.c.password)).scalars().all()
        assert one != two
        assert PASSWORD not in one + two

    def test_the_same_letters_written_otherwise_are_the_same_password(self, store: Store) -> None:
        people.add(store, "hypatia", password="cafe\u0301 au lait")
        assert people.log_in(store, "hypatia", "caf\u00e9 au lait") is not None

    @pytest.mark.parametrize("password", ["", "short", "x" * 257])
    def test_passwords_that_cannot_be(self, store: Store, password: str) -> None:
        with pytest.raises(UsageError, match="10 to 256"):
            people.add(store, "hypatia", password=password)

    def test_who_is_not_there_cannot_be_changed(self, store: Store) -> None:
        for change in (
            lambda: people.get(store, "nix"),
            lambda: people.set_disabled(store, "nix", True),
            lambda: people.set_password(store, "nix", PASSWORD),
            lambda: tokens.make(store, "nix", ["read"]),
            lambda: teams.add(store, "moon", manager="nix"),
        ):
            with pytest.raises(NotFoundError, match="nix"):
                change()
        assert teams.teams(store) == []


class TestTeams:
    def test_who_is_in(self, store: Store) -> None:
        for name in ("hypatia", "theon", "synesius"):
            people.add(store, name)
        teams.add(store, "moon", title="The Moon", manager="hypatia")
        teams.add(store, "sun")
        teams.join(store, "moon", "theon")
        teams.join(store, "moon", "theon")
        teams.join(store, "sun", "theon", "manager")
        moon, sun = teams.teams(store)
        assert (moon.title, moon.members) == ("The Moon", {"hypatia": "manager", "theon": "member"})
        assert sun.members == {"theon": "manager"}
        assert [team.name for team in teams.teams(store, member="theon")] == ["moon", "sun"]
        assert [team.name for team in teams.teams(store, member="hypatia")] == ["moon"]
        assert teams.teams(store, member="synesius") == []
        assert people.get(store, "theon").teams == {"moon": "member", "sun": "manager"}
        teams.leave(store, "moon", "theon")
        assert teams.get(store, "moon").members == {"hypatia": "manager"}

    def test_it_keeps_a_manager_while_anyone_is_in(self, store: Store) -> None:
        for name in ("hypatia", "theon"):
            people.add(store, name)
        teams.add(store, "moon", manager="hypatia")
        teams.join(store, "moon", "theon")
        with pytest.raises(UsageError, match="last"):
            teams.leave(store, "moon", "hypatia")
        with pytest.raises(UsageError, match="last"):
            teams.join(store, "moon", "hypatia", "member")
        teams.join(store, "moon", "theon", "manager")
        teams.leave(store, "moon", "hypatia")
        teams.leave(store, "moon", "theon")
        assert teams.get(store, "moon").members == {}

    def test_what_cannot_be(self, store: Store) -> None:
        people.add(store, "hypatia")
        teams.add(store, "moon")
        with pytest.raises(UsageError, match="already"):
            teams.add(store, "moon")
        with pytest.raises(UsageError, match="lower-case"):
            teams.add(store, "The Moon")
        with pytest.raises(NotFoundError, match="sun"):
            teams.join(store, "sun", "hypatia")
        with pytest.raises(NotFoundError, match="theon"):
            teams.join(store, "moon", "theon")
        with pytest.raises(NotFoundError, match="not in team"):
            teams.leave(store, "moon", "hypatia")


class TestTokens:
    def test_lets_in_who_holds_it(self, store: Store) -> None:
        people.add(store, "hypatia")
        teams.add(store, "moon", manager="hypatia")
        secret, token = tokens.make(store, "hypatia", ["write:filters", "read"], note="laptop")
        assert secret.startswith(f"ncs_{token.id}_")
        assert len(secret.rpartition("_")[2]) == 64
        found = tokens.holder(store, secret)
        assert found is not None
        assert (found.user, found.teams, found.scopes) == ("hypatia", {"moon": "manager"}, {"read", "write:filters"})
        assert (found.token, found.session, found.admin) == (token.id, False, False)
        (listed,) = tokens.listing(store, "hypatia")
        assert (listed.note, listed.scopes, listed.expires, listed.revoked) == ("laptop", ("read", "write:filters"), None, None)
        assert listed.last_used is not None

    def test_only_its_hash_is_kept(self, store: Store) -> None:
        people.add(store, "hypatia")
        secret, _ = tokens.make(store, "hypatia", ["read"])
        with connection(store) as conn:
            row = conn.execute(select(tables.tokens)).mappings().one()
        last = secret.rpartition("_")[2]
        assert last not in str(dict(row))
        assert bytes(row["digest"]) == hashlib.sha256(last.encode()).digest()

    def test_others_let_nobody_in(self, store: Store) -> None:
        people.add(store, "hypatia")
        secret, token = tokens.make(store, "hypatia", ["read"])
        other, _ = tokens.make(store, "hypatia", ["read"])
        for wrong in (
            "",
            "ncs",
            "ncs__",
            secret[:-1],
            secret + "0",
            secret.upper(),
            f" {secret}",
            f"ncs_{token.id}_{other.rpartition('_')[2]}",
            f"ncs_{'0' * 12}_{secret.rpartition('_')[2]}",
            secret[:-1] + ("0" if secret[-1] != "0" else "1"),
            "ncs_\0_\0",
        ):
            assert tokens.holder(store, wrong) is None

    def test_that_has_ended_or_was_revoked(self, store: Store) -> None:
        people.add(store, "hypatia")
        people.add(store, "theon")
        secret, token = tokens.make(store, "hypatia", ["read"], expires=datetime.now(UTC) + timedelta(hours=1))
        assert tokens.holder(store, secret) is not None
        with transaction(store) as conn:
            conn.execute(update(tables.tokens).values(expires=1))
        assert tokens.holder(store, secret) is None
        secret, token = tokens.make(store, "hypatia", ["read"])
        with pytest.raises(NotFoundError):
            tokens.revoke(store, token.id, user="theon")
        assert tokens.holder(store, secret) is not None
        tokens.revoke(store, secret, user="hypatia")
        assert tokens.holder(store, secret) is None
        revoked = tokens.listing(store)[0].revoked
        tokens.revoke(store, f"ncs_{token.id}")
        assert tokens.listing(store)[0].revoked == revoked
        with pytest.raises(UsageError, match="past"):
            tokens.make(store, "hypatia", ["read"], expires=datetime(2020, 1, 1, tzinfo=UTC))

    def test_of_an_account_that_is_disabled(self, store: Store) -> None:
        people.add(store, "hypatia")
        secret, _ = tokens.make(store, "hypatia", ["read"])
        people.set_disabled(store, "hypatia", True)
        assert tokens.holder(store, secret) is None
        with pytest.raises(UsageError, match="disabled"):
            tokens.make(store, "hypatia", ["read"])
        people.set_disabled(store, "hypatia", False)
        assert tokens.holder(store, secret) is not None

    def test_no_more_than_the_account_may(self, store: Store) -> None:
        people.add(store, "hypatia", admin=True)
        people.add(store, "theon")
        with pytest.raises(UsageError, match="no administrator"):
            tokens.make(store, "theon", ["admin"])
        for scopes in ([], ["reed"], ["read", ""]):
            with pytest.raises(UsageError, match="there are read, write:filters"):
                tokens.make(store, "theon", scopes)
        secret, _ = tokens.make(store, "hypatia", ["read", "admin"])
        with transaction(store) as conn:
            conn.execute(update(tables.users).values(admin=False))
        found = tokens.holder(store, secret)
        assert found is not None
        assert found.scopes == {"read"}

    def test_log_ins_end_with_a_password_and_a_disabling(self, store: Store) -> None:
        people.add(store, "hypatia", password=PASSWORD)
        later = datetime.now(UTC) + timedelta(hours=1)
        keep, _ = tokens.make(store, "hypatia", ["read"])
        for end in (
            lambda: people.set_password(store, "hypatia", "another password"),
            lambda: people.set_disabled(store, "hypatia", False),
        ):
            session, _ = tokens.make(store, "hypatia", ["read"], kind="session", expires=later)
            found = tokens.holder(store, session)
            assert found is not None
            assert found.session
            end()
            assert tokens.holder(store, session) is None
        assert tokens.holder(store, keep) is not None
        assert len(tokens.listing(store)) == 1

    def test_log_ins_that_have_ended_are_swept_out(self, store: Store) -> None:
        people.add(store, "hypatia")
        later = datetime.now(UTC) + timedelta(hours=1)
        for _ in range(3):
            tokens.make(store, "hypatia", ["read"], kind="session", expires=later)
            with transaction(store) as conn:
                conn.execute(update(tables.tokens).values(expires=1))
        tokens.make(store, "hypatia", ["read"], kind="session", expires=later)
        with connection(store) as conn:
            assert len(conn.execute(select(tables.tokens)).all()) == 1

    def test_all_processes_sign_with_one_key(self, store: Store) -> None:
        keys: list[bytes] = []
        threads = [threading.Thread(target=lambda: keys.append(tokens.signing_key(store))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(keys) == 6
        assert len(set(keys)) == 1
        assert len(keys[0]) == 32
        assert tokens.signing_key(store, "another") != keys[0]
