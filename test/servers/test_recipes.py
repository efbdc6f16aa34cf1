"""The files of deploy/, as far as they can be checked without a cluster."""

import re
from pathlib import Path

import kserve.models
import kubernetes.client.models
import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KINDS = {"Secret": "V1Secret", "ServiceAccount": "V1ServiceAccount", "InferenceService": "V1beta1InferenceService"}


def model_class(name: str):
    """The generated class of a custom or core resource's type; None for a plain one."""
    return getattr(kserve.models, name, None) or getattr(kubernetes.client.models, name, None)


def check(value, type_name: str, path: str) -> None:
    """Every key is one that the type has, down to the plain values."""
    inner = re.fullmatch(r"(?:[Ll]ist\[(?P<item>.+)\]|[Dd]ict[\[(]str, (?P<entry>.+)[\])])", type_name)
    if inner is not None and inner["item"] is not None:
        assert isinstance(value, list), f"{path} is no list"
        for index, item in enumerate(value):
            check(item, inner["item"], f"{path}[{index}]")
    elif inner is not None:
        assert isinstance(value, dict), f"{path} is no map"
        for key, entry in value.items():
            check(entry, inner["entry"], f"{path}.{key}")
    elif (described := model_class(type_name)) is not None and described.openapi_types:
        assert isinstance(value, dict), f"{path} is no object"
        types = {described.attribute_map[name]: kind for name, kind in described.openapi_types.items()}
        for key, entry in value.items():
            assert key in types, f"{path}.{key} is not in {type_name}, which has {', '.join(sorted(types))}"
            check(entry, types[key], f"{path}.{key}")
    elif type_name in ("str", "int", "bool"):
        assert type(value).__name__ == type_name, f"{path} is {value!r}, expected {type_name}"
    else:
        assert isinstance(value, (str, int)), f"{path} is {value!r}, expected a quantity"


@pytest.fixture(scope="module")
def resources() -> dict[str, dict]:
    documents = yaml.safe_load_all((DEPLOY / "kserve" / "inferenceservice.yaml").read_text("utf-8"))
    return {document["kind"]: document for document in documents}


class TestKServe:
    @pytest.mark.parametrize("kind", KINDS)
    def test_has_only_keys_that_the_types_of_its_client_have(self, resources, kind):
        check(resources[kind], KINDS[kind], kind)

    def test_reads_the_bucket_with_the_secret(self, resources):
        predictor = resources["InferenceService"]["spec"]["predictor"]
        account = resources["ServiceAccount"]
        assert predictor["serviceAccountName"] == account["metadata"]["name"]
        assert account["secrets"] == [{"name": resources["Secret"]["metadata"]["name"]}]
        assert predictor["model"]["storageUri"].startswith("s3://")

    def test_a_wrong_key_would_be_seen(self, resources):
        wrong = {**resources["InferenceService"], "spec": {"predictor": {"modle": {}}}}
        with pytest.raises(AssertionError, match=r"spec\.predictor\.modle is not in V1beta1PredictorSpec"):
            check(wrong, KINDS["InferenceService"], "InferenceService")
