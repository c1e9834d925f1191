using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>
/// Compiles for the host, by g++, for the emulated driver: the same units, with the emulator's header in place of the
/// device's. The image is the magic "LSEMUIMG", the length (u64, little endian), and an ELF shared library.
/// </summary>
internal sealed class HostCompiler : KernelCompiler
{
    private const string DriverLibrary = "libllamaserve_emulated_cuda.so";

    // As the device computes: integers wrap, and only what the source calls fused is. A module can be unloaded: no unique symbols.
    private static readonly string[] CommonOptions =
    [
        "-std=c++17", "-O2", "-fPIC", "-shared", "-fno-semantic-interposition", "-fno-gnu-unique", "-fwrapv", "-ffp-contract=off", "-DLLAMASERVE_EMULATED",
    ];

    private readonly string _command;
    private readonly string _folder;

    /// <param name="folder">For sources and the emulated driver; need not exist.</param>
    /// <param name="command">The compiler; null for $CXX, else g++.</param>
    /// <exception cref="CudaUnavailableException">It cannot be started.</exception>
    public HostCompiler(string folder, string? command = null)
    {
        _folder = folder;
        _command = command ?? (Environment.GetEnvironmentVariable("CXX") is { Length: > 0 } chosen ? chosen : "g++");
        Identity = HostProcess.TryRun(_command, ["--version"]) is { ExitCode: 0, Output: var version }
            ? version.Split('\n')[0]
            : throw new CudaUnavailableException($"The emulated CUDA device needs a C++ compiler: {_command} cannot be started. Install g++, or name one in CXX.");
    }

    public override string Identity { get; }

    public override IReadOnlyList<string> Headers { get; } = [".cuh", ".hpp"];

    private static ReadOnlySpan<byte> Magic => "LSEMUIMG"u8;

    // Fused multiply-adds and half-precision conversions are functions of the C library without these instructions.
    private static IEnumerable<string> Instructions => Avx2.IsSupported && Fma.IsSupported ? ["-march=x86-64-v3"] : [];

    public override IReadOnlyList<string> Options(GpuArchitecture architecture) => [.. CommonOptions, .. Instructions, .. ArchitectureMacros(architecture)];

    public override CompiledKernels Compile(KernelSources sources, string unit, GpuArchitecture architecture)
    {
        (byte[] library, string log) = Build(sources, [unit], Options(architecture), unit);
        byte[] image = new byte[Magic.Length + sizeof(ulong) + library.Length];
        Magic.CopyTo(image);
        BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(Magic.Length), library.Length);
        library.CopyTo(image, Magic.Length + sizeof(ulong));
        return new CompiledKernels(image, log);
    }

    /// <summary>The emulated driver's library, compiled from the sources' .cpp files where that has not been done yet.</summary>
    /// <returns>A path for <see cref="DriverApi.Load"/>.</returns>
    public string BuildDriver(KernelSources sources)
    {
        string[] units = [.. sources.Names(".cpp")];
        byte[] key = sources.Key(units[0], [.. Headers, ".cpp"], [.. CommonOptions, Identity]);
        string name = Convert.ToHexStringLower(key.AsSpan(0, 8));
        string image = Path.Combine(_folder, $"driver.{name}.image"), path = Path.Combine(_folder, $"driver-{name}", DriverLibrary);
        byte[]? library = ImageFile.TryRead(image, key);
        if (library is null)
        {
            library = Build(sources, units, CommonOptions, DriverLibrary).Library;
            ImageFile.Write(image, key, library);
        }
        // The loader wants the bare library; a damaged one is replaced.
        AtomicFile.Ensure(path, library);
        return path;
    }

    // What nvcc would define: units choose their path by it.
    private static string[] ArchitectureMacros(GpuArchitecture architecture) => architecture switch
    {
        GpuArchitecture.Sm80 => ["-D__CUDA_ARCH__=800"],
        GpuArchitecture.Sm89 => ["-D__CUDA_ARCH__=890"],
        GpuArchitecture.Sm90a => ["-D__CUDA_ARCH__=900", "-D__CUDA_ARCH_FEAT_SM90_ALL"],
        _ => throw new ArgumentOutOfRangeException(nameof(architecture)),
    };

    private (byte[] Library, string Log) Build(KernelSources sources, IEnumerable<string> units, IReadOnlyList<string> options, string what)
    {
        string folder = WriteSources(sources);
        string output = Path.Combine(folder, $".{Guid.NewGuid():N}.so");
        string[] arguments =
        [
            .. options, "-Wall", "-Werror", "-Wno-unknown-pragmas", "-I", folder, "-x", "c++",
            .. units.Select(unit => Path.Combine(folder, unit)), "-o", output, "-lpthread", "-ldl",
        ];
        try
        {
            return HostProcess.TryRun(_command, arguments) switch
            {
                { ExitCode: 0, Output: var log } => (File.ReadAllBytes(output), log),
                { Output: var log } => throw new CompileException(what, Identity, log),
                null => throw new CompileException(what, Identity, $"{_command} cannot be started any more"),
            };
        }
        finally
        {
            File.Delete(output);
        }
    }

    /// <summary>Into a folder of their own, since another version may compile at the same time.</summary>
    private string WriteSources(KernelSources sources)
    {
        string[] names = [.. sources.Names(".cu", ".cuh", ".hpp", ".cpp")];
        byte[] key = sources.Key(names[0], [".cu", ".cuh", ".hpp", ".cpp"], []);
        string folder = Path.Combine(_folder, $"sources-{Convert.ToHexStringLower(key.AsSpan(0, 8))}");
        foreach (string name in names)
        {
            AtomicFile.Ensure(Path.Combine(folder, name), System.Text.Encoding.UTF8.GetBytes(sources.Text(name)));
        }
        return folder;
    }
}
