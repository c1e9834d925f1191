using System.Runtime.InteropServices;
using System.Text;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>
/// Compiles for GPUs, by NVRTC, to a cubin. Sources include nothing but each other. A warning is an error, and so is
/// assembler's advice that a tensor-core pipeline was serialized.
/// </summary>
internal sealed unsafe class NvrtcCompiler : KernelCompiler
{
    private readonly NvrtcApi _api;

    /// <exception cref="CudaUnavailableException">This NVRTC is older than 12.0.</exception>
    public NvrtcCompiler(NvrtcApi api)
    {
        _api = api;
        int major, minor;
        if (api.Version(&major, &minor) != NvrtcApi.Success || major < 12)
        {
            throw new CudaUnavailableException($"NVRTC is version {major}.{minor}; 12.0 or later is needed.");
        }
        Identity = $"NVRTC {major}.{minor}";
    }

    public static IReadOnlyList<string> HeaderExtensions { get; } = [".cuh"];

    public override string Identity { get; }

    public override IReadOnlyList<string> Headers => HeaderExtensions;

    public static IReadOnlyList<string> OptionsFor(GpuArchitecture architecture) =>
        [$"--gpu-architecture={architecture.Name()}", "--std=c++17", "-lineinfo", "--ptxas-options=-v"];

    public override IReadOnlyList<string> Options(GpuArchitecture architecture) => OptionsFor(architecture);

    public override CompiledKernels Compile(KernelSources sources, string unit, GpuArchitecture architecture)
    {
        nint program = Create(sources, unit);
        try
        {
            using NativeStrings options = new(OptionsFor(architecture));
            int result = _api.CompileProgram(program, options.Count, options.Pointers);
            string log = Log(program);
            if (result != NvrtcApi.Success || PtxasReport.Complaints(log).Any())
            {
                throw new CompileException(unit, $"{Identity} for {architecture.Name()}", log.Length > 0 ? log : Text(result));
            }
            nuint bytes;
            Check(_api.GetCubinSize(program, &bytes));
            byte[] image = new byte[bytes];
            fixed (byte* to = image)
            {
                Check(_api.GetCubin(program, to));
            }
            return new CompiledKernels(image, log);
        }
        finally
        {
            _ = _api.DestroyProgram(&program);
        }
    }

    private nint Create(KernelSources sources, string unit)
    {
        string[] names = [.. sources.Names(HeaderExtensions)];
        using NativeStrings texts = new([sources.Text(unit), .. names.Select(sources.Text)]);
        using NativeStrings files = new([unit, .. names]);
        nint program;
        Check(_api.CreateProgram(&program, texts.Pointers[0], files.Pointers[0], names.Length, texts.Pointers + 1, files.Pointers + 1));
        return program;
    }

    private string Log(nint program)
    {
        nuint bytes;
        Check(_api.GetProgramLogSize(program, &bytes));
        byte[] log = new byte[bytes];
        fixed (byte* to = log)
        {
            Check(_api.GetProgramLog(program, to));
        }
        return Encoding.UTF8.GetString(log).TrimEnd('\0');
    }

    private string Text(int result) => Marshal.PtrToStringUTF8((nint)_api.GetErrorString(result)) ?? $"error {result}";

    private void Check(int result)
    {
        if (result != NvrtcApi.Success)
        {
            throw new InvalidOperationException($"NVRTC failed: {Text(result)}");
        }
    }
}
