using System.Runtime.Intrinsics.X86;

namespace LlamaServe.Kernels.Cpu;

/// <summary>What the assembled micro-kernels may use. Portable kernels choose their vector width themselves.</summary>
/// <param name="Avx512">AVX-512 F, BW, DQ and VL with F16C: float kernels can be assembled.</param>
/// <param name="Vnni">AVX512-VNNI (VPDPBUSD): int8 kernels can be assembled.</param>
/// <param name="Bf16">AVX512-BF16 (VDPBF16PS): BF16 kernels can be assembled.</param>
internal readonly record struct CpuFeatures(bool Avx512, bool Vnni, bool Bf16)
{
    /// <summary>Set to <c>portable</c> to switch all assembled kernels off.</summary>
    public const string EnvironmentVariable = "LLAMASERVE_CPU_FEATURES";

    /// <summary>No assembled kernels.</summary>
    public static CpuFeatures Portable => default;

    /// <summary>The features of this machine, or <see cref="Portable"/> where the environment asks for it.</summary>
    /// <exception cref="InvalidOperationException">The environment variable has an unknown value.</exception>
    public static CpuFeatures Detect() => Environment.GetEnvironmentVariable(EnvironmentVariable) switch
    {
        null or "" or "native" => DetectHardware(),
        "portable" => Portable,
        var other => throw new InvalidOperationException($"{EnvironmentVariable} is '{other}'; it can be 'native' or 'portable'."),
    };

    public override string ToString() => this switch
    {
        { Bf16: true } => "avx512-vnni-bf16",
        { Vnni: true } => "avx512-vnni",
        { Avx512: true } => "avx512",
        _ => "portable",
    };

    private static CpuFeatures DetectHardware()
    {
        // The runtime's IsSupported also covers what the operating system saves on a context switch.
        if (!Avx512F.VL.IsSupported || !Avx512BW.IsSupported || !Avx512DQ.IsSupported || !X86Base.X64.IsSupported)
        {
            return Portable;
        }

        int highestSubleaf = X86Base.CpuId(7, 0).Eax;
        bool vnni = (X86Base.CpuId(7, 0).Ecx & (1 << 11)) != 0;
        bool bf16 = highestSubleaf >= 1 && (X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0;
        return new CpuFeatures(Avx512: true, vnni, bf16);
    }
}
