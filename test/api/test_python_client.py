"""Uses the service through the client that openapi-python-client makes of /openapi.json."""

import base64
import json
import os
import time

import pytest
from edgewise_client import AuthenticatedClient
from edgewise_client.api.accounts import create_key, create_tenant, get_me, list_keys, revoke_key
from edgewise_client.api.health import is_ready
from edgewise_client.api.inference import infer
from edgewise_client.api.licences import get_terms
from edgewise_client.api.models import get_model, list_models
from edgewise_client.api.receipts import get_receipt, hand_in_receipt
from edgewise_client.models import CreateKeyBody, CreateTenantBody, InferRequest, IssuedKey
from edgewise_client.types import File

URL = os.environ["EDGEWISE_URL"]
TENANT = f"py-{time.time_ns()}"


def body_of(response, status: int):
    assert response.status_code == status, response.content
    assert response.parsed is not None
    return response.parsed


@pytest.fixture(scope="module")
def admin() -> AuthenticatedClient:
    return AuthenticatedClient(URL, token=os.environ["EDGEWISE_ADMIN_KEY"], timeout=30)


@pytest.fixture(scope="module")
def key(admin) -> IssuedKey:
    tenant = CreateTenantBody(id=TENANT, name="Python")
    assert body_of(create_tenant.sync_detailed(client=admin, body=tenant), 201).id == TENANT
    scopes = CreateKeyBody.from_dict({"scopes": {"account": "read"}})
    return body_of(create_key.sync_detailed(TENANT, client=admin, body=scopes), 201)


@pytest.fixture(scope="module")
def caller(key) -> AuthenticatedClient:
    return AuthenticatedClient(URL, token=key.text, timeout=30)


def test_a_key_is_shown_once(admin, key):
    assert key.text.startswith(f"ew_{key.key.id}_")
    response = list_keys.sync_detailed(TENANT, client=admin)
    assert [each.id for each in body_of(response, 200).keys] == [key.key.id]
    assert key.text.encode() not in response.content


def test_a_key_opens_what_its_tenant_may_see(caller):
    me = body_of(get_me.sync_detailed(client=caller), 200)
    assert me.kind == "tenant"
    assert me.tenant.id == TENANT


def test_models_are_listed_and_described(caller):
    assert body_of(is_ready.sync_detailed(client=caller), 200).ready
    assert "mlp" in body_of(list_models.sync_detailed(client=caller), 200).models
    assert body_of(get_model.sync_detailed("mlp", client=caller), 200).inputs[0].datatype == "FP32"
    assert body_of(get_terms.sync_detailed("mlp", client=caller), 200).licence.spdx


def test_an_answer_has_a_receipt_that_is_in_the_log(caller):
    request = InferRequest.from_dict(
        {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 10], "data": [1] * 10}]}
    )
    response = infer.sync_detailed("mlp", client=caller, body=request, prefer="receipt=logged")
    assert body_of(response, 200).outputs[0].data
    receipt = response.headers["Edgewise-Receipt"]
    payload = receipt.split(".")[1]
    receipt_id = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["id"]
    kept = body_of(get_receipt.sync_detailed(receipt_id, client=caller), 200)
    assert kept.receipt == receipt
    assert kept.proof
    handed_in = hand_in_receipt.sync_detailed(client=caller, body=File(payload=receipt.encode()))
    assert body_of(handed_in, 200).receipt == receipt


def test_a_revoked_key_says_so(admin, key):
    assert body_of(revoke_key.sync_detailed(key.key.id, client=admin), 200).revoked_at
