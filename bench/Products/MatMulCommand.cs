using System.CommandLine;
using LlamaServe.Bench.Machine;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Products;

/// <summary><c>matmul</c>: measures the matrix product on the CPU beside what the machine allows.</summary>
internal static class MatMulCommand
{
    // The matrices of bench's 1.04B Llama: q|k|v, attention output, gate|up, down, logits.
    private static readonly (int Columns, int Outputs)[] Shapes =
        [(2048, 3072), (2048, 2048), (2048, 16384), (8192, 2048), (2048, 32000)];

    public static Command Create()
    {
        Option<int> threads = new("--threads") { Description = "Threads.", DefaultValueFactory = _ => Environment.ProcessorCount };
        Option<WeightFormat[]> formats = new("--formats")
        {
            Description = "Weight formats.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => [WeightFormat.Q4_0, WeightFormat.Q8_0],
        };
        Option<int[]> rows = new("--rows")
        {
            Description = "Rows of activations.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => [1, 8, 128],
        };
        Command command = new("matmul", "Measure x · Wᵀ for the shapes of a 1B Llama.") { threads, formats, rows };
        command.SetAction(parsed => Measure(
            parsed.GetValue(threads), parsed.GetRequiredValue(formats), parsed.GetRequiredValue(rows)));
        return command;
    }

    private static void Measure(int threads, WeightFormat[] formats, int[] rowCounts)
    {
        if (rowCounts.Any(rows => rows < 1))
        {
            throw new ArgumentException("A product has at least one row.");
        }

        var limits = MachineLimits.Measure(threads);
        Console.WriteLine(MachineDescription.Current);
        Console.WriteLine(limits);
        foreach (WeightFormat format in formats)
        {
            foreach ((int columns, int outputs) in Shapes)
            {
                using MatMulMeasurement measurement = new(threads, format, outputs, columns, rowCounts.Max());
                foreach (int rows in rowCounts)
                {
                    Console.WriteLine($"{format} [{columns} -> {outputs}] {rows,4} rows: {Describe(measurement, rows, limits)}");
                }
            }
        }
    }

    private static string Describe(MatMulMeasurement measurement, int rows, MachineLimits limits)
    {
        double seconds = measurement.MedianSeconds(rows);
        double bandwidth = measurement.WeightBytes / seconds, multiplyAdds = measurement.MultiplyAdds(rows) / seconds;
        string read = $"{bandwidth / 1e9,5:F1} GB/s ({bandwidth / limits.ReadBytesPerSecond:P0} of the read bandwidth)";
        string arithmetic = $"{multiplyAdds / 1e9,4:F0} G multiply-adds/s";
        string share = limits.Int8MultiplyAddsPerSecond is { } peak ? $" ({multiplyAdds / peak:P0} of the int8 peak)" : "";
        return $"{seconds * 1e6,7:F0} us  {read}  {arithmetic}{share}";
    }
}
