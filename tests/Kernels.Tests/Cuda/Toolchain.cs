using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Testing;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>The tools that tests of CUDA kernels need. A machine without one skips those tests, loudly; CI says which must be there.</summary>
internal static class Toolchain
{
    /// <summary>Compiled for the emulated device, by g++.</summary>
    public const string Emulated = "CudaEmulated";

    /// <summary>Compiled for GPUs, by NVRTC.</summary>
    public const string Compile = "CudaCompile";

    /// <summary>Names of tools, separated by blanks, whose absence fails a test: "g++ nvrtc nvdisasm".</summary>
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

    /// <summary>The machine code of a cubin, by nvdisasm: beside NVRTC where .ci/get-nvrtc puts it, else in PATH.</summary>
    public static string Disassemble(byte[] cubin)
    {
        string beside = Path.GetFullPath(Path.Combine(Environment.GetEnvironmentVariable(NvrtcApi.EnvironmentVariable) ?? "", "../../bin/nvdisasm"));
        string command = new[] { beside, "nvdisasm" }.FirstOrDefault(command => HostProcess.TryRun(command, ["--version"]) is { ExitCode: 0 })
            ?? Missing<string>("nvdisasm", "nvdisasm is not here: the kernels' machine code is NOT checked (.ci/get-nvrtc fetches it)");
        using TemporaryFolder folder = new();
        string file = folder.File("kernels.cubin");
        File.WriteAllBytes(file, cubin);
        HostProcess? process = HostProcess.TryRun(command, ["-c", file]);
        Assert.That(process?.ExitCode, Is.Zero, process?.Output);
        return process!.Output;
    }

    [DoesNotReturn]
    private static T Missing<T>(string tool, string reason)
    {
        if ((Environment.GetEnvironmentVariable(RequiredVariable) ?? "").Split(' ').Contains(tool))
        {
            Assert.Fail(reason);
        }
        Assert.Ignore(reason);
        throw new UnreachableException();
    }
}
