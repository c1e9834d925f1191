using System.Text.Json;
using LlamaServe.Bench.Gpu;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests;

/// <summary>The script for a GPU, on the emulated device and with shrunken shapes: every row, the table and the file of results.</summary>
public sealed class GpuRunTests
{
    [Test]
    [Category("CudaEmulated")]
    public async Task Every_row_is_measured_on_the_emulated_device()
    {
        RequireCompiler();
        using TemporaryFolder folder = new();
        GpuOptions options = new()
        {
            Device = "cuda-emulated",
            Tiny = true,
            Output = folder.Path,
            Stages = new HashSet<GpuStage> { GpuStage.Kernels, GpuStage.Peers, GpuStage.Models },
            Window = TimeSpan.FromMilliseconds(50),
            Python = "no-python-of-this-name",
        };
        Assert.That(await new GpuRun(options).RunAsync());

        using JsonDocument results = JsonDocument.Parse(File.ReadAllText(Directory.GetFiles(folder.Path, "gpu-*.json").Single()));
        JsonElement measurements = results.RootElement.GetProperty("measurements");
        Assert.That(measurements.GetProperty("limits").GetProperty("copy_bytes_per_second").GetDouble(), Is.Positive);
        string[] kernels = [.. measurements.GetProperty("rows").EnumerateArray().Select(Check).Distinct()];
        Assert.That(kernels, Has.Some.StartsWith("W4A16").And.Some.StartsWith("W8A8 (INT8)").And.Some.StartsWith("W8A8 (FP8)").And.Some.StartsWith("BF16"));
        Assert.That(kernels, Is.SupersetOf(new[] { "RmsNorm", "gated activation", "rope, store BF16 KV", "rope, store Fp8 KV", "sample, greedy", "sample, top-k 50, top-p 0.95" }));
        Assert.That(kernels, Is.SupersetOf(new[] { "swap blocks to the host", "swap blocks from the host" }));
        Assert.That(kernels, Has.Some.Contains("attention, decode, Fp8"));
        Assert.That(kernels, Has.Some.Contains("attention, decode").And.Some.Contains("attention, prefill"));
        Assert.That(kernels, Is.SupersetOf(new[] { "one sequence, decode", "throughput", "median step", "host work of a step" }));
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

    /// <summary>A row has a value, or says that there is no kernel for it.</summary>
    /// <returns>Its kernel.</returns>
    private static string Check(JsonElement row)
    {
        string kernel = row.GetProperty("kernel").GetString()!, shape = row.GetProperty("shape").GetString()!;
        if (row.TryGetProperty("value", out JsonElement value))
        {
            Assert.That(value.GetDouble(), Is.Positive, $"{kernel}, {shape}");
        }
        else
        {
            Assert.That(row.GetProperty("note").GetString(), Does.StartWith("not built: "), $"{kernel}, {shape}");
        }
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
