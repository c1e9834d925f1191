namespace LlamaServe.Models.Weights;

/// <summary>
/// The key-values of a GGUF file. <c>Get…</c> demands the key, <c>Find…</c> gives null where it is absent; both throw
/// where it holds another kind of value. Any integer or float width is taken for a number.
/// </summary>
public sealed class GgufMetadata
{
    private readonly Dictionary<string, object> _values;

    internal GgufMetadata(string fileName, Dictionary<string, object> values)
    {
        FileName = fileName;
        _values = values;
    }

    public string FileName { get; }

    public IReadOnlyCollection<string> Keys => _values.Keys;

    /// <summary>The model family, <c>general.architecture</c>, which also prefixes the family's own keys.</summary>
    /// <exception cref="CheckpointException">The key is missing or no text.</exception>
    public string Architecture => GetString("general.architecture");

    public string GetString(string key) => FindString(key) ?? throw Missing(key);

    public int GetInt32(string key) => FindInt32(key) ?? throw Missing(key);

    public float GetSingle(string key) => FindSingle(key) ?? throw Missing(key);

    public IReadOnlyList<string> GetStrings(string key) => FindStrings(key) ?? throw Missing(key);

    public string? FindString(string key) => Find<string>(key, "text");

    public IReadOnlyList<string>? FindStrings(string key) => Find<string[]>(key, "an array of texts");

    public IReadOnlyList<long>? FindIntegers(string key) => Find<long[]>(key, "an array of integers");

    public IReadOnlyList<float>? FindSingles(string key) => Find<float[]>(key, "an array of numbers");

    public bool? FindBoolean(string key) => _values.TryGetValue(key, out object? value)
        ? value as bool? ?? throw Error(key, "must be true or false")
        : null;

    public int? FindInt32(string key) => _values.TryGetValue(key, out object? value)
        ? value is long number && number == (int)number ? (int)number : throw Error(key, "must be an integer of 32 bits")
        : null;

    public float? FindSingle(string key)
    {
        if (!_values.TryGetValue(key, out object? value))
        {
            return null;
        }
        double number = value switch
        {
            double real => real,
            long integer => integer,
            _ => double.NaN,
        };
        return float.IsFinite((float)number) ? (float)number : throw Error(key, "must be a finite number");
    }

    /// <summary>An error about the value of a key.</summary>
    /// <param name="problem">Begins with a verb.</param>
    public CheckpointException Error(string key, string problem) =>
        new(FileName, $"key {CheckpointException.Quote(key)} {problem}");

    private T? Find<T>(string key, string description)
        where T : class => _values.TryGetValue(key, out object? value)
        ? value as T ?? throw Error(key, "must be " + description)
        : null;

    private CheckpointException Missing(string key) => Error(key, "is missing");
}
