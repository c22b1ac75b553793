"""What an application does with the Python client, over a crash of the server, a new key of sessions and the end of its login."""

import asyncio
import os
import time
import urllib.request

from v2.nacos import (
    BatchRegisterInstanceParam,
    ClientConfigBuilder,
    ConfigParam,
    DeregisterInstanceParam,
    GRPCConfig,
    ListInstanceParam,
    ListServiceParam,
    NacosConfigService,
    NacosNamingService,
    RegisterInstanceParam,
    SubscribeServiceParam,
)

GROUP = "DEFAULT_GROUP"
USER = os.environ.get("MUSTER_USER")


def settings(password):
    builder = ClientConfigBuilder().server_address(os.environ["MUSTER_SERVER"]).log_level("ERROR")
    builder = builder.grpc_config(GRPCConfig(port_offset=int(os.environ["MUSTER_GRPC_OFFSET"])))
    if USER:
        builder = builder.username(USER).password(password)
    return builder.build()


def demand(holds, what):
    assert holds, what
    print("seen:", what, flush=True)


async def within(what, holds):
    """Waits for up to 20 s; errors of a client that is connecting again count as not yet."""
    last, end = None, time.monotonic() + 20
    while time.monotonic() < end:
        try:
            answer = holds()
            if await answer if asyncio.iscoroutine(answer) else answer:
                print("seen:", what, flush=True)
                return
        except Exception as err:  # the client raises bare ones
            last = err
        await asyncio.sleep(0.05)
    raise AssertionError(what) from last


async def order(what):
    """Has something done to the server, and returns when it is done."""
    await asyncio.to_thread(lambda: urllib.request.urlopen(os.environ["MUSTER_ORDERS"] + "/" + what, timeout=60).read())


def instance(service, port=80, **more):
    return RegisterInstanceParam(service_name=service, group_name=GROUP, ip="192.0.2.1", port=port, weight=2.0, metadata={"zone": "a"},
                                 enabled=True, healthy=True, **more)


def document(**more):
    return ConfigParam(data_id="app.json", group=GROUP, **more)


async def trial():
    naming = await NacosNamingService.create_naming_service(settings(os.environ.get("MUSTER_PASSWORD")))
    configs = await NacosConfigService.create_config_service(settings(os.environ.get("MUSTER_PASSWORD")))
    told, contents = [], []

    async def called(instances):
        told.append(list(instances))

    async def changed(_tenant, _data_id, _group, content):
        contents.append(content)

    async def count(service):
        return len(await naming.list_instances(ListInstanceParam(service_name=service, healthy_only=True, subscribe=False)))

    async def counts(service, number):
        return await count(service) == number

    await naming.subscribe(SubscribeServiceParam(service_name="pay", group_name=GROUP, subscribe_callback=called))
    demand(await naming.register_instance(instance("pay", ephemeral=True)), "a registration")
    await within("a callback with the instance", lambda: told and len(told[-1]) == 1)
    demand(told[-1][0].weight == 2.0 and told[-1][0].metadata["zone"] == "a", "its weight and metadata")
    batch = BatchRegisterInstanceParam(service_name="many", group_name=GROUP, instances=[instance("many", port, ephemeral=True) for port in (1, 2)])
    demand(await naming.batch_register_instances(request=batch), "a batch")
    await within("both of it", lambda: counts("many", 2))
    demand(await naming.register_instance(instance("lasting", ephemeral=False)), "a persistent instance")
    await within("it listed", lambda: counts("lasting", 1))
    demand((await naming.list_services(ListServiceParam(page_no=1, page_size=10))).count == 3, "three services")

    demand(await configs.publish_config(document(content="{}", type="json")), "a publish")
    demand(await configs.get_config(document()) == "{}", "its content")
    await configs.add_listener("app.json", GROUP, changed)

    async def publish(content):
        return await configs.publish_config(document(content=content, type="json"))

    await within("a callback with the next content", lambda: told_of(publish, contents, '{"a":1}'))
    if USER:
        await order("rotate")
        await within("a callback with what was published under a new key", lambda: told_of(publish, contents, '{"a":2}'))
        await order("expire")
        demand(await publish('{"a":0}'), "a publish after the end of the login")
        await within("a callback with what was published then", lambda: contents[-1:] == ['{"a":0}'])

    await order("restart")
    await within("a callback with what was published after the crash", lambda: told_of(publish, contents, '{"a":3}'))
    await within("the instance after the crash", lambda: counts("pay", 1))
    demand(all(told), f"no callback with an empty list: {len(told)} callbacks")

    gone = DeregisterInstanceParam(service_name="pay", group_name=GROUP, ip="192.0.2.1", port=80, ephemeral=True)
    demand(await naming.deregister_instance(gone), "a deregistration")
    demand(await configs.remove_config(document()), "the document removed")
    await naming.shutdown()
    await configs.shutdown()
    os._exit(0)  # the client leaves tasks behind


async def told_of(publish, contents, content):
    """Publishes unless that was done, and reports whether the listener got it."""
    if content not in contents:
        await publish(content)
        await asyncio.sleep(0.5)
    return contents[-1:] == [content]


asyncio.run(trial())
