using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Matrix products of a model's layers: a row for each matrix, and one for all four of a layer.</summary>
/// <param name="peers">Receives the peers' cases.</param>
internal sealed class ProductRows(CudaBackend backend, GpuClock clock, GpuLimits limits, List<GpuRow> rows, List<PeerCase> peers)
{
    private const string CuBlas = "cuBLAS BF16";

    /// <summary>Times the products of a format.</summary>
    /// <param name="groupSize">Columns to a scale; 0 for whole rows, or where scales are inside the blocks.</param>
    /// <param name="tokens">Row counts of the activations.</param>
    /// <param name="ownPeer">A peer that computes in the same types, beside cuBLAS in BF16; the kind and its name.</param>
    /// <param name="goals">Of a whole layer.</param>
    public void Add(GpuModel model, WeightFormat format, int groupSize, int[] tokens, (string Kind, string Name)? ownPeer, params Goal[] goals)
    {
        string kernel = $"{Name(format, groupSize)} matmul";
        try
        {
            using RandomWeights random = new(format, model.Matrices.Max(matrix => (long)matrix.Rows * matrix.Columns), groupSize);
            double[][] seconds = [.. model.Matrices.Select(matrix => Time(random, matrix, tokens))];
            for (int i = 0; i < tokens.Length; i++)
            {
                Report(model, kernel, format, groupSize, tokens[i], [.. seconds.Select(ofMatrix => ofMatrix[i])], ownPeer, goals);
            }
        }
        catch (ArgumentException exception)
        {
            rows.Add(new GpuRow(kernel, $"{model.Name} layer") { Goals = goals, Note = $"not built: {exception.Message}" });
        }
        catch (CudaException exception)
        {
            rows.Add(new GpuRow(kernel, $"{model.Name} layer") { Goals = goals, Note = $"FAILED: {exception.Message}" });
        }
    }

    private static string Name(WeightFormat format, int groupSize) => format switch
    {
        WeightFormat.Int4 => $"W4A16 (INT4 g{groupSize})",
        WeightFormat.Int8 => "W8A16 (INT8)",
        WeightFormat.Int8Dynamic => "W8A8 (INT8)",
        WeightFormat.Fp8 => "W8A8 (FP8)",
        _ => format.ToString(),
    };

    private double[] Time(RandomWeights random, GpuMatrix matrix, int[] tokens)
    {
        Weight[] weights = new Weight[clock.Copies((long)RandomWeights.LeastBytes(random.Format, random.GroupSize, matrix.Rows, matrix.Columns))];
        for (int i = 0; i < weights.Length; i++)
        {
            weights[i] = Load(random, matrix);
        }
        using DeviceRows x = new(backend, tokens.Max(), matrix.Columns);
        return [.. tokens.Select(count =>
        {
            backend.ResetStep();
            return clock.Seconds(
                i =>
                {
                    // Results of the call before last make room.
                    backend.BeginLayer();
                    Weight weight = weights[i % weights.Length];
                    _ = matrix.IsGated ? backend.GatedLinear(x.Take(count), weight) : backend.Linear(x.Take(count), weight);
                },
                weights.Length);
        })];
    }

    private Weight Load(RandomWeights random, GpuMatrix matrix)
    {
        WeightData data = random.Matrix("matrix", matrix.Outputs, matrix.Columns);
        return matrix.IsGated ? backend.LoadGatedLinear([data], [data]) : backend.LoadLinear([data]);
    }

    private void Report(
        GpuModel model, string kernel, WeightFormat format, int groupSize, int tokens, double[] seconds, (string Kind, string Name)? ownPeer, Goal[] goals)
    {
        List<double> floors = [];
        List<string> cuBlas = [], own = [];
        foreach (GpuMatrix matrix in model.Matrices)
        {
            floors.Add(Floor(format, groupSize, tokens, matrix));
            cuBlas.Add(Peer("matmul_bf16"));
            if (ownPeer is { } peer)
            {
                own.Add(Peer(peer.Kind));
            }
            rows.Add(new GpuRow(kernel, $"{model.Name} {matrix.Name} {matrix.Rows} × {matrix.Columns}, {tokens} rows")
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
                peers.Add(peerCase);
                return peerCase.Id;
            }
        }
        GpuRow layer = new(kernel, $"{model.Name} layer, {tokens} rows") { Floor = floors.Sum(), Value = seconds.Sum() };
        rows.Add(layer with { Peer = CuBlas, PeerCases = cuBlas, Goals = goals });
        if (ownPeer is { } other)
        {
            rows.Add(layer with { Peer = other.Name, PeerCases = own });
        }
    }

    /// <summary>Weights, activations and results once each, or the operations: whichever takes longer.</summary>
    private double Floor(WeightFormat format, int groupSize, int tokens, GpuMatrix matrix)
    {
        double bytes = RandomWeights.LeastBytes(format, groupSize, matrix.Rows, matrix.Columns) + 2.0 * tokens * (matrix.Outputs + matrix.Columns);
        double peak = format switch
        {
            WeightFormat.Int8Dynamic => limits.Int8Operations,
            WeightFormat.Fp8 => limits.Fp8Operations ?? limits.Bf16Operations,
            _ => limits.Bf16Operations,
        };
        return Math.Max(limits.Bytes(bytes), 2.0 * tokens * matrix.Rows * matrix.Columns / peak);
    }
}
