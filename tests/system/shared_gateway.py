"""A gateway that all tests of a module share, where they do not change it."""
import contextlib

from harness import gateway as gateways
from harness.postgres import PASSWORD


@contextlib.contextmanager
def shared_gateway(authority, resources, changes=None, environment=None):
    """Resources by name; everything is allowed on those labelled "test" unless `changes` has other
    policies. At the end the gateway must stop in order, as in conftest.py."""
    config = gateways.merged({"resources": resources, "policies": gateways.ALLOW_ALL}, changes or {})
    gateway = gateways.Gateway(authority, config, {"TARGET_PASSWORD": PASSWORD,
                                                   **(environment or {})})
    try:
        yield gateway.start()
    finally:
        gateway.finish()
