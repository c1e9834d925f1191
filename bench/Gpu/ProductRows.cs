using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Matrix products of a model's layers: a row for each matrix, and one for all four of a layer.</summary>
internal sealed class ProductRows(KernelBench bench)
{
    private const string CuBlas = "cuBLAS BF16";

    /// <summary>Times the products of a format.</summary>
    /// <param name="groupSize">Columns to a scale; 0 for whole rows, or where scales are inside the blocks.</param>
    /// <param name="tokens">Row counts of the activations.</param>
    /// <param name="ownPeer">A peer that computes in the same types, beside cuBLAS in BF16; the kind and its name.</param>
    /// <param name="goals">Of a whole layer.</param>
    public void Add(GpuModel model, WeightFormat format, int groupSize, int[] tokens, (string Kind, string Name)? ownPeer, params Goal[] goals)
    {
        using RandomWeights random = new(format, model.Matrices.Max(matrix => (long)matrix.Rows * matrix.Columns), groupSize);
        Add(model, random, tokens, ownPeer, goals);
    }

    /// <summary>The same with weights that have zero points.</summary>
    public void AddZeros(GpuModel model, WeightFormat format, int groupSize, int[] tokens)
    {
        using RandomWeights random = new(format, model.Matrices.Max(matrix => (long)matrix.Rows * matrix.Columns), groupSize, hasZeros: true);
        Add(model, random, tokens, null, []);
    }

    private void Add(GpuModel model, RandomWeights random, int[] tokens, (string Kind, string Name)? ownPeer, Goal[] goals)
    {
        string kernel = $"{Name(random.Format, random.GroupSize, random.HasZeros)} matmul";
        try
        {
            double[][] seconds = [.. model.Matrices.Select(matrix => Time(random, matrix, tokens))];
            for (int i = 0; i < tokens.Length; i++)
            {
                Report(model, kernel, random, tokens[i], [.. seconds.Select(ofMatrix => ofMatrix[i])], ownPeer, goals);
            }
        }
        catch (ArgumentException exception)
        {
            bench.Journal.Add(new GpuRow(kernel, $"{model.Name} layer") { Goals = goals, Note = $"not built: {exception.Message}" });
        }
        catch (CudaException exception)
        {
            bench.Journal.Add(new GpuRow(kernel, $"{model.Name} layer") { Goals = goals, Note = $"{GpuRow.Failed}: {exception.Message}" });
        }
    }

    /// <summary>What a product with weights of a format is called in the table.</summary>
    /// <param name="groupSize">0 for a scale a row, or where scales are inside the blocks.</param>
    public static string Name(WeightFormat format, int groupSize, bool hasZeros = false)
    {
        string zeros = hasZeros ? ", zeros" : "";
        return format switch
        {
            WeightFormat.Int4 => $"W4A16 (INT4{Group(groupSize)}{zeros})",
            WeightFormat.Int8 => $"W8A16 (INT8{Group(groupSize)}{zeros})",
            WeightFormat.Int8Dynamic => "W8A8 (INT8)",
            WeightFormat.Fp8 => "W8A8 (FP8)",
            _ => format.ToString(),
        };
    }

    private static string Group(int size) => size == 0 ? "" : $" g{size}";

    private double[] Time(RandomWeights random, GpuMatrix matrix, int[] tokens)
    {
        Weight[] weights = new Weight[bench.Clock.Copies((long)random.LeastBytes(matrix.Rows, matrix.Columns))];
        for (int i = 0; i < weights.Length; i++)
        {
            weights[i] = Load(random, matrix);
        }
        using DeviceRows x = new(bench.Backend, tokens.Max(), matrix.Columns);
        return [.. tokens.Select(count =>
        {
            bench.Backend.ResetStep();
            return bench.Clock.Seconds(
                i =>
                {
                    // Results of the call before last make room.
                    bench.Backend.BeginLayer();
                    Weight weight = weights[i % weights.Length];
                    _ = matrix.IsGated ? bench.Backend.GatedLinear(x.Take(count), weight) : bench.Backend.Linear(x.Take(count), weight);
                },
                weights.Length);
        })];
    }

    private Weight Load(RandomWeights random, GpuMatrix matrix)
    {
        WeightData data = random.Matrix("matrix", matrix.Outputs, matrix.Columns);
        return matrix.IsGated ? bench.Backend.LoadGatedLinear([data], [data]) : bench.Backend.LoadLinear([data]);
    }

    private void Report(
        GpuModel model, string kernel, RandomWeights random, int tokens, double[] seconds, (string Kind, string Name)? ownPeer, Goal[] goals)
    {
        List<double> floors = [];
        List<string> cuBlas = [], own = [];
        foreach (GpuMatrix matrix in model.Matrices)
        {
            floors.Add(Floor(random, tokens, matrix));
            cuBlas.Add(Peer("matmul_bf16"));
            if (ownPeer is { } peer)
            {
                own.Add(Peer(peer.Kind));
            }
            bench.Journal.Add(new GpuRow(kernel, $"{model.Name} {matrix.Name} {matrix.Rows} × {matrix.Columns}, {tokens} rows")
            {
                Floor = floors[^1],
                Value = seconds[floors.Count - 1],
                Peer = CuBlas,
                PeerCases = [cuBlas[^1]],
                IsDetail = true,
            });

            string Peer(string kind)
            {
                PeerCase peerCase = PeerCase.Product(kind, tokens, matrix.Rows, matrix.Columns);
                bench.Journal.Add(peerCase);
                return peerCase.Id;
            }
        }
        GpuRow layer = new(kernel, $"{model.Name} layer, {tokens} rows") { Floor = floors.Sum(), Value = seconds.Sum() };
        bench.Journal.Add(layer with { Peer = CuBlas, PeerCases = cuBlas, Goals = goals });
        if (ownPeer is { } other)
        {
            bench.Journal.Add(layer with { Peer = other.Name, PeerCases = own });
        }
    }

    /// <summary>Weights, activations and results once each, or the operations: whichever takes longer.</summary>
    private double Floor(RandomWeights random, int tokens, GpuMatrix matrix)
    {
        double bytes = random.LeastBytes(matrix.Rows, matrix.Columns) + 2.0 * tokens * (matrix.Outputs + matrix.Columns);
        double peak = random.Format switch
        {
            WeightFormat.Int8Dynamic => bench.Limits.Int8Operations,
            WeightFormat.Fp8 => bench.Limits.Fp8Operations ?? bench.Limits.Bf16Operations,
            _ => bench.Limits.Bf16Operations,
        };
        return Math.Max(bench.Limits.Bytes(bytes), 2.0 * tokens * matrix.Rows * matrix.Columns / peak);
    }
}
