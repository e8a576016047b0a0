"""NVML without a driver: the functions that darkroom looks up, over values from a file that may change."""
import os
import subprocess
import sys

BUILD = os.environ.get("DARKROOM_BUILD", "build/emulated")


def ask(script, **environment):
    """In a process of its own: the library reads the environment of its process."""
    head = f"import ctypes; nvml = ctypes.CDLL({os.path.abspath(BUILD)!r} + '/tests/emulation/libnvidia-ml.so.1'); "
    result = subprocess.run([sys.executable, "-c", head + script], capture_output=True, text=True, timeout=60,
                            env=dict(os.environ, **environment))
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


DEVICE = ("nvml.nvmlInit_v2(); gpu = ctypes.c_void_p(); n = ctypes.c_uint(); "
          "print(nvml.nvmlDeviceGetHandleByIndex_v2({index}, ctypes.byref(gpu)), end=' '); ")


def test_as_many_gpus_as_the_runtime_has():
    count = "n = ctypes.c_uint(); nvml.nvmlInit_v2(); nvml.nvmlDeviceGetCount_v2(ctypes.byref(n)); print(n.value)"
    assert ask(count) == "1"
    assert ask(count, EMULATION_DEVICES="3") == "3"
    assert ask(count, EMULATION_DEVICES="0") == "0"


def test_values_come_from_the_file(tmp_path):
    values = tmp_path / "values"
    values.write_text("temperature 80\n1.temperature 55\n1.lost 0\n2.lost 1\n")
    script = DEVICE + "print(nvml.nvmlDeviceGetTemperature(gpu, 0, ctypes.byref(n)), n.value)"
    told = [ask(script.format(index=i), EMULATION_DEVICES="3", EMULATION_NVML=str(values)) for i in range(3)]
    assert told == ["0 0 80", "0 0 55", "15 15 0"]


def test_an_xid_is_told_once(tmp_path):
    values = tmp_path / "values"
    values.write_text("xid 79\n")
    script = (DEVICE.format(index=0) + "s = ctypes.c_void_p(); e = (ctypes.c_ulonglong * 4)(); nvml.nvmlEventSetCreate(ctypes.byref(s)); "
              "nvml.nvmlDeviceRegisterEvents(gpu, ctypes.c_ulonglong(8), s); "
              "print(nvml.nvmlEventSetWait_v2(s, e, 0), e[1], e[2], nvml.nvmlEventSetWait_v2(s, e, 0))")
    assert ask(script, EMULATION_NVML=str(values)) == "0 0 8 79 10"


def test_instances_have_names_of_their_own(tmp_path):
    values = tmp_path / "values"
    values.write_text("mig 2\n")
    script = (DEVICE.format(index=0) + "part = ctypes.c_void_p(); text = ctypes.create_string_buffer(96); "
              "answers = [nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, i, ctypes.byref(part)) for i in range(3)]; "
              "nvml.nvmlDeviceGetUUID(part, text, 96); print(answers, text.value.decode()[:4])")
    assert ask(script, EMULATION_NVML=str(values)) == "0 [0, 0, 6] MIG-"
