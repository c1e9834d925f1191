using System.Text.Json;

namespace LlamaServe.Bench.Peers;

/// <summary>What engines' makers say that they reach; nobody measured it here.</summary>
/// <param name="Workload">Model, hardware and requests.</param>
/// <param name="Unit">Of the figures.</param>
/// <param name="Figures">By engine.</param>
/// <param name="Source">Who says so, when.</param>
internal sealed record PublishedFigure(string Workload, string Unit, IReadOnlyDictionary<string, double> Figures, string Source)
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
    };

    /// <summary>The table that comes with the program.</summary>
    public static string DefaultPath => Path.Combine(AppContext.BaseDirectory, "Peers", "published.json");

    /// <exception cref="ArgumentException">The table is damaged, or a figure lacks its source.</exception>
    public static IReadOnlyList<PublishedFigure> Load(string path)
    {
        try
        {
            PublishedFigure[] all = JsonSerializer.Deserialize<PublishedFigure[]>(File.ReadAllText(path), Options) ?? [];
            return all.FirstOrDefault(figure => string.IsNullOrWhiteSpace(figure.Source) || figure.Figures.Any(value => value.Value is not > 0)) is { } wrong
                ? throw new ArgumentException($"{Path.GetFileName(path)}: {wrong.Workload} lacks its source or has a figure that is not above 0")
                : all;
        }
        catch (JsonException exception)
        {
            throw new ArgumentException($"{Path.GetFileName(path)} is no table of published figures: {exception.Message}", exception);
        }
    }
}
