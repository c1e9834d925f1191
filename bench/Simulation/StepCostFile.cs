using System.Text.Json;

namespace LlamaServe.Bench.Simulation;

/// <summary>A fitted cost of steps, kept for simulations: measured here or on a machine elsewhere.</summary>
/// <param name="Model">The model's file or folder.</param>
/// <param name="KvTokens">Tokens that the KV cache held.</param>
/// <param name="Seconds">[5], as <see cref="FittedStepCost.Weights"/>.</param>
internal sealed record StepCostFile(string Model, int KvTokens, IReadOnlyList<double> Seconds)
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
    };

    public void Save(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this, Options) + "\n");

    /// <exception cref="ArgumentException">The file is none of these.</exception>
    public static StepCostFile Load(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<StepCostFile>(File.ReadAllText(path), Options) is { KvTokens: > 0 } file
                ? file
                : throw new ArgumentException($"{path} has no KV cache.");
        }
        catch (JsonException exception)
        {
            throw new ArgumentException($"{path} is no cost of steps: {exception.Message}");
        }
    }
}
