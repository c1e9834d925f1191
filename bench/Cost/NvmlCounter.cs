using System.Runtime.InteropServices;

namespace LlamaServe.Bench.Cost;

/// <summary>Energy of all NVIDIA GPUs (Volta or later), from NVML's nvmlDeviceGetTotalEnergyConsumption.</summary>
internal sealed unsafe class NvmlCounter : IEnergyCounter
{
    private readonly nint[] _devices;
    private readonly delegate* unmanaged<nint, ulong*, int> _energy;

    private NvmlCounter(nint[] devices, delegate* unmanaged<nint, ulong*, int> energy)
    {
        _devices = devices;
        _energy = energy;
    }

    public string Name => "all GPUs of this machine (NVML)";

    /// <exception cref="InvalidOperationException">NVML fails.</exception>
    public double Joules
    {
        get
        {
            ulong total = 0;
            foreach (nint device in _devices)
            {
                ulong millijoules;
                if (_energy(device, &millijoules) != 0)
                {
                    throw new InvalidOperationException("NVML no longer tells a GPU's energy.");
                }

                total += millijoules;
            }

            return total / 1e3;
        }
    }

    /// <returns>null without NVML, without a GPU, or where one does not count.</returns>
    public static NvmlCounter? TryOpen()
    {
        string library = OperatingSystem.IsWindows() ? "nvml.dll" : "libnvidia-ml.so.1";
        if (!NativeLibrary.TryLoad(library, out nint handle) || ((delegate* unmanaged<int>)NativeLibrary.GetExport(handle, "nvmlInit_v2"))() != 0)
        {
            return null;
        }

        uint count;
        if (((delegate* unmanaged<uint*, int>)NativeLibrary.GetExport(handle, "nvmlDeviceGetCount_v2"))(&count) != 0 || count == 0)
        {
            return null;
        }

        nint[] devices = new nint[count];
        var byIndex = (delegate* unmanaged<uint, nint*, int>)NativeLibrary.GetExport(handle, "nvmlDeviceGetHandleByIndex_v2");
        var energy = (delegate* unmanaged<nint, ulong*, int>)NativeLibrary.GetExport(handle, "nvmlDeviceGetTotalEnergyConsumption");
        for (uint i = 0; i < count; i++)
        {
            nint device;
            ulong millijoules;
            if (byIndex(i, &device) != 0 || energy(device, &millijoules) != 0)
            {
                return null;
            }

            devices[i] = device;
        }

        return new NvmlCounter(devices, energy);
    }
}
