using System.Globalization;

namespace LlamaServe.Models.Tokenization;

/// <summary>The character data of <c>UnicodeNfc.txt</c>.</summary>
internal sealed class UnicodeNfcTable
{
    private readonly Dictionary<int, int> _classes = [];

    public Dictionary<int, int[]> Decompositions { get; } = [];

    public Dictionary<(int First, int Second), int> Compositions { get; } = [];

    public IReadOnlyCollection<int> Marks => _classes.Keys;

    /// <summary>Canonical combining class; 0 for what starts a sequence.</summary>
    public int Class(int codePoint) => _classes.GetValueOrDefault(codePoint);

    public static UnicodeNfcTable Load()
    {
        UnicodeNfcTable table = new();
        using Stream stream = typeof(UnicodeNfcTable).Assembly.GetManifestResourceStream("UnicodeNfc.txt")!;
        using StreamReader reader = new(stream);
        while (reader.ReadLine() is { } line)
        {
            if (line.Length > 0 && line[0] != '#')
            {
                table.Add(line.Split(' '));
            }
        }
        return table;
    }

    private void Add(string[] fields)
    {
        if (fields.Length == 2)
        {
            string[] range = fields[0].Split("..");
            for (int codePoint = Hex(range[0]); codePoint <= Hex(range[^1]); codePoint++)
            {
                _classes.Add(codePoint, int.Parse(fields[1], CultureInfo.InvariantCulture));
            }
            return;
        }
        int[] parts = [.. fields.Skip(2).Select(Hex)];
        Decompositions.Add(Hex(fields[0]), parts);
        if (fields[1] == "=")
        {
            Compositions.Add((parts[0], parts[1]), Hex(fields[0]));
        }
    }

    private static int Hex(string digits) => int.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
