"""The options of sockets, as the kernel sees them."""

import socket
import sys

import pytest
import zmq

from augfarm.protocol.sockets import GIVE_UP_MS, configure


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
@pytest.mark.parametrize("gives_up", [True, False])
def test_the_kernel_gives_up_a_connection_as_soon_as_heartbeats_would(gives_up):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as broker, context.socket(zmq.DEALER) as peer:
        for one in (broker, peer):
            configure(one, frame_bytes=1000, kernel_gives_up=gives_up)
        port = broker.bind_to_random_port("tcp://127.0.0.1")
        peer.connect(f"tcp://127.0.0.1:{port}")
        peer.send(b"hello")
        name, frame = receive(broker)
        assert patience_of(frame) == (GIVE_UP_MS if gives_up else 0)
        broker.send_multipart([name.bytes, b"hello"])
        (frame,) = receive(peer)
        assert patience_of(frame) == (GIVE_UP_MS if gives_up else 0)


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_longest_frame_passes_and_a_longer_one_ends_the_connection(encrypted):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as broker, context.socket(zmq.DEALER) as peer:
        for one in (broker, peer):
            configure(one, frame_bytes=1000, encrypted=encrypted)
        if encrypted:
            broker.curve_server = True
            peer.curve_serverkey, broker.curve_secretkey = zmq.curve_keypair()
            peer.curve_publickey, peer.curve_secretkey = zmq.curve_keypair()
        monitor = broker.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        port = broker.bind_to_random_port("tcp://127.0.0.1")
        peer.connect(f"tcp://127.0.0.1:{port}")
        peer.send(b"x" * 1000)
        assert len(receive(broker)[1]) == 1000
        peer.send(b"x" * 1001)
        assert monitor.poll(30_000)
        assert not broker.poll(0)
        broker.disable_monitor()
        monitor.close()


def receive(receiver):
    assert receiver.poll(30_000)
    return receiver.recv_multipart(copy=False)


def patience_of(frame):
    """How long the kernel goes on sending over the connection that this frame came over, in milliseconds."""
    with socket.fromfd(frame.get(zmq.SRCFD), socket.AF_INET, socket.SOCK_STREAM) as end:
        return end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
