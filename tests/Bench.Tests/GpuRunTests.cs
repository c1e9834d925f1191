using System.Text.Json;
using LlamaServe.Bench.Gpu;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests;

/// <summary>The script for a GPU, on the emulated device and with shrunken shapes: every row, the table and the file of results.</summary>
public sealed class GpuRunTests
{
    /// <summary>All that a run measures.</summary>
    private static readonly string[] Kernels =
    [
        .. new[] { "BF16", "F16", "Q4_0", "Q4_K", "Q6_K", "Q8_0", "W8A8 (INT8)", "W8A8 (FP8)", "W8A16 (INT8)", "W8A16 (INT8 g64)", "W8A16 (INT8 g32)", "W8A16 (INT8 g32, zeros)" }
            .Select(format => $"{format} matmul"),
        .. new[] { "", " g128", " g64", " g32", " g128, zeros", " g64, zeros", " g32, zeros" }.Select(group => $"W4A16 (INT4{group}) matmul"),
        "route to experts", "mixture of experts, W4A16 (INT4 g128)", "mixture of experts, BF16",
        "RmsNorm", "gated activation", "rope, store BF16 KV", "rope, store Fp8 KV", "rope, store Int8 KV", "embed", "gather rows", "copy blocks", "swap blocks to the host", "swap blocks from the host",
        .. new[] { "greedy", "no cut", "top-k 50, top-p 0.95", "min-p 0.05", "top-k 50, top-p 0.95, penalties over 20 tokens", "greedy, 5 log-probabilities" }
            .Select(how => $"sample, {how}"),
        "sample and verify", "compact drafts",
        .. new[] { "decode, BF16", "decode, Fp8", "decode, Int8", "prefill, BF16", "prefill, Fp8", "prefill, Int8", "trees of drafts, BF16", "mixed batch, BF16" }
            .Select(step => $"paged attention, {step} KV"),
        "one sequence, decode", "throughput", "all requests queued, whole run", "median step", "host work of a step",
    ];

    [Test]
    [Category("CudaEmulated")]
    public void Every_row_is_measured_on_the_emulated_device()
    {
        RequireCompiler();
        using TemporaryFolder folder = new();
        GpuOptions options = new()
        {
            Device = "cuda-emulated",
            Tiny = true,
            Output = folder.Path,
            Stages = new HashSet<GpuStage> { GpuStage.Kernels, GpuStage.Peers, GpuStage.Models, GpuStage.Others },
            TimeLimit = TimeSpan.FromHours(1),
            Window = TimeSpan.FromMilliseconds(50),
            Python = "no-python-of-this-name",
        };
        Assert.That(new GpuRun(options).Run());

        using JsonDocument results = JsonDocument.Parse(File.ReadAllText(Directory.GetFiles(folder.Path, "gpu-*.json").Single()));
        JsonElement measurements = results.RootElement.GetProperty("measurements");
        Assert.That(measurements.GetProperty("limits").GetProperty("copy_bytes_per_second").GetDouble(), Is.Positive);
        string[] kernels = [.. measurements.GetProperty("rows").EnumerateArray().Select(Check).Distinct()];
        Assert.That(kernels, Is.EquivalentTo(Kernels));
    }

    [Test]
    [Category("CudaCompile")]
    public void The_peak_is_measured_with_the_fastest_tensor_instructions_and_without_spills([Values("bf16", "s8", "e4m3")] string type)
    {
        NvrtcCompiler compiler;
        IReadOnlyList<KernelCode> code;
        try
        {
            compiler = new NvrtcCompiler(NvrtcApi.Load());
            foreach (GpuArchitecture architecture in GpuArchitectures.All)
            {
                compiler.Compile(GpuLimits.Sources, GpuLimits.PeakUnit, architecture);
            }
            code = Disassembly.Of(compiler.Compile(GpuLimits.Sources, GpuLimits.PeakUnit, GpuArchitecture.Sm90a).Image);
        }
        catch (CudaUnavailableException exception)
        {
            Assert.Ignore($"{exception.Message} Whether the tensor cores' peak can be measured is NOT checked");
            throw;
        }
        KernelCode kernel = code.Single(kernel => kernel.Kernel == $"tensor_peak_{type}");
        string family = type switch { "bf16" => "HGMMA", "s8" => "IGMMA", _ => "QGMMA" };
        Assert.That(kernel.Tensor.Keys, Is.EqualTo(new[] { family }));
        Assert.That(kernel.LocalAccesses, Is.Zero);
    }

    /// <summary>A row has a value.</summary>
    /// <returns>Its kernel.</returns>
    private static string Check(JsonElement row)
    {
        string kernel = row.GetProperty("kernel").GetString()!, shape = row.GetProperty("shape").GetString()!;
        Assert.That(row.TryGetProperty("value", out JsonElement value), $"{kernel}, {shape}: {(row.TryGetProperty("note", out JsonElement note) ? note.GetString() : "no value")}");
        Assert.That(value.GetDouble(), Is.Positive, $"{kernel}, {shape}");
        return kernel;
    }

    private static void RequireCompiler()
    {
        try
        {
            _ = new HostCompiler(Path.GetTempPath());
        }
        catch (CudaUnavailableException exception)
        {
            Assert.Ignore($"{exception.Message} The script for a GPU is NOT checked");
        }
    }
}
