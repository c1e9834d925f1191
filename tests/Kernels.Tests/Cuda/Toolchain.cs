using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>The tools that tests of CUDA kernels need. A machine without one skips those tests, loudly; CI says which must be there.</summary>
internal static class Toolchain
{
    /// <summary>Compiled for the emulated device, by g++.</summary>
    public const string Emulated = "CudaEmulated";

    /// <summary>Compiled for GPUs, by NVRTC.</summary>
    public const string Compile = "CudaCompile";

    /// <summary>Runs on a GPU.</summary>
    public const string Gpu = "Gpu";

    /// <summary>Names of tools, separated by blanks, whose absence fails a test: "g++ nvrtc nvdisasm gpu".</summary>
    private const string RequiredVariable = "LLAMASERVE_REQUIRED_TOOLS";

    public static NvrtcCompiler RequireNvrtc()
    {
        try
        {
            return new NvrtcCompiler(NvrtcApi.Load());
        }
        catch (CudaUnavailableException exception)
        {
            return Missing<NvrtcCompiler>("nvrtc", $"{exception.Message} Whether kernels compile for GPUs is NOT checked (.ci/get-nvrtc fetches it)");
        }
    }

    public static HostCompiler RequireHostCompiler(string folder)
    {
        try
        {
            return new HostCompiler(folder);
        }
        catch (CudaUnavailableException exception)
        {
            return Missing<HostCompiler>("g++", $"{exception.Message} The emulated device is NOT checked");
        }
    }

    public static IReadOnlyList<KernelCode> Disassemble(byte[] cubin)
    {
        try
        {
            return Disassembly.Of(cubin);
        }
        catch (CudaUnavailableException exception)
        {
            return Missing<IReadOnlyList<KernelCode>>("nvdisasm", $"{exception.Message} The kernels' machine code is NOT checked (.ci/get-nvrtc fetches it)");
        }
    }

    /// <summary>Ends the test: as failed where CI has to have the tool, else as skipped.</summary>
    [DoesNotReturn]
    public static T Missing<T>(string tool, string reason)
    {
        if ((Environment.GetEnvironmentVariable(RequiredVariable) ?? "").Split(' ').Contains(tool))
        {
            Assert.Fail(reason);
        }
        Assert.Ignore(reason);
        throw new UnreachableException();
    }
}
