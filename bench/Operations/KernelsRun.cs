using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Models;
using LlamaServe.Bench.Torch;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using TorchSharp;

namespace LlamaServe.Bench.Operations;

/// <summary>What part of the table.</summary>
internal enum OperationGroup
{
    Products,
    Rows,
    Attention,
    Sampling,
    Experts,
}

/// <summary>Every operation of the CPU backend on the shapes of a model, beside the machine's limits and PyTorch.</summary>
/// <param name="threads">Of both sides.</param>
internal sealed class KernelsRun(LlamaShape shape, int threads, TurnClock clock, TextWriter output)
{
    public required WeightFormat[] Formats { get; init; }

    /// <summary>Rows of activations.</summary>
    public required int[] Rows { get; init; }

    /// <summary>Measures the groups in order; prints a line as soon as it is known.</summary>
    /// <returns>Rows with floors by limits that are the best of one measurement before and one after.</returns>
    public (MachineLimits Limits, IReadOnlyList<OperationRow> Rows) Measure(IEnumerable<OperationGroup> groups)
    {
        TorchRuntime.EnsureLoaded();
        torch.set_num_threads(threads);
        using IDisposable inference = torch.inference_mode();
        using CpuBackend backend = new(new CpuBackendOptions { Threads = threads });
        output.WriteLine($"{MachineDescription.Current}; {backend.Description}");
        var limits = MachineLimits.Measure(threads);
        output.WriteLine(limits);
        output.WriteLine(OperationTable.Header);
        List<OperationRow> rows = [];
        foreach (OperationCase operation in groups.SelectMany(group => Cases(backend, group)))
        {
            OperationRow row = OperationRow.Measure(operation, clock);
            rows.Add(row);
            output.WriteLine(OperationTable.Line(row.WithFloor(limits)));
        }

        limits = limits.Best(MachineLimits.Measure(threads));
        return (limits, [.. rows.Select(row => row.WithFloor(limits))]);
    }

    private IEnumerable<OperationCase> Cases(CpuBackend backend, OperationGroup group) => group switch
    {
        OperationGroup.Products => new ProductCases(backend, shape, Formats, Rows).All(),
        OperationGroup.Rows => new RowCases(backend, shape, Rows).All(),
        OperationGroup.Attention => new AttentionCases(backend, shape).All(),
        OperationGroup.Sampling => new SamplingCases(backend, shape.Vocabulary, Rows).All(),
        _ => new ExpertCases(backend, shape, Formats[0], Rows).All(),
    };
}
