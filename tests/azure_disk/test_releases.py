"""Images of the gallery: which release they hold."""

from __future__ import annotations

import pytest

from keyhier.azure_disk.releases import release_of_image
from keyhier.placement import UNKNOWN


@pytest.mark.parametrize(
    ("image", "release"),
    [
        (("Canonical", "UbuntuServer", "18.04-LTS"), "ubuntu 18.04"),
        (("RedHat", "RHEL", "8_7"), "rhel 8.7"),
        (("RedHat", "RHEL", "87-gen2"), "rhel 8.7"),
        (("OpenLogic", "CentOS", "7.5"), "centos 7.5"),
        (("SUSE", "SLES", "12-SP4"), "sles 12-sp4"),
        (("SUSE", "openSUSE-Leap", "42.3"), "opensuse 42.3"),
        (("Oracle", "Oracle-Linux", "ol86-lvm-gen2"), "oracle-linux 8.6"),
        (("MicrosoftCBLMariner", "cbl-mariner", "cbl-mariner-2-gen2"), "cbl-mariner 2"),
        (("MicrosoftWindowsServer", "WindowsServer", "2008-R2-SP1"), "windows-server 2008-r2"),
        (("MicrosoftWindowsServer", "WindowsServer", "2022-datacenter"), "windows-server 2022"),
        (("MicrosoftWindowsDesktop", "Windows-11", "win11-22h2-pro"), "windows-client 11"),
        (("Debian", "debian-12", "12"), UNKNOWN),
    ],
)
def test_images_of_the_gallery_tell_their_release(
    image: tuple[str, str, str], release: object
) -> None:
    assert release_of_image(*image) == release
